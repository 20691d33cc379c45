"""`python -m geo.dataset database|tables ...`: writes the files of `geo/data`. See geo/data/NOTICE.md."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from geo.dataset import cities, mmdb, ranges

DATA = Path(__file__).parent.parent / "data"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Rebuilds the data that Tepi ships, from open files."""


@main.command()
@click.option("--v4", help="CSV of IPv4 ranges; later files win.", type=FILE, multiple=True, required=True)
@click.option("--v6", help="CSV of IPv6 ranges; later files win.", type=FILE, multiple=True, required=True)
@click.option("--built", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The day the data is of.")
@click.option("--to", type=click.Path(path_type=Path), default=DATA / "countries.mmdb", show_default=True)
def database(v4: tuple[Path, ...], v6: tuple[Path, ...], built: datetime, to: Path) -> None:
    """Merges CSV files of address ranges into a country database."""
    try:
        families = (
            ranges.merge([ranges.read(path, 4) for path in v4]),
            ranges.merge([ranges.read(path, 6) for path in v6]),
        )
    except ranges.BadRange as error:
        raise click.ClickException(str(error)) from error
    names = ranges.countries(one for family in families for one in family)
    spans = [[(one.first, one.last, names.index(one.country)) for one in family] for family in families]
    tree, root = mmdb.build(*spans)
    content = mmdb.write(
        tree,
        root,
        [{"country_code": name} for name in names],
        kind="Tepi-Country",
        description="Country by address; data of the NRO and its registries, CC BY 4.0: see NOTICE.md",
        built=int(built.replace(tzinfo=UTC).timestamp()),
    )
    to.write_bytes(content)
    click.echo(f"{to}: {len(names)} countries, {len(tree.nodes)} nodes, {len(content)} bytes")


@main.command()
@click.option("--cities", "all_cities", type=FILE, required=True, help="GeoNames cities, as JSON.")
@click.option("--countries", type=FILE, required=True, help="GeoNames countries, as JSON.")
@click.option("--airports", type=FILE, required=True, help="Airports with IATA codes, as CSV.")
@click.option("--metropolitan", type=FILE, required=True, help="IATA codes of whole cities, as CSV.")
@click.option("--to", type=click.Path(path_type=Path), default=DATA, show_default=True, help="Directory.")
def tables(all_cities: Path, countries: Path, airports: Path, metropolitan: Path, to: Path) -> None:
    """Writes the countries' centres and the table of places."""
    known = cities.read_cities(all_cities)
    places = cities.places(known, cities.read_capitals(countries))
    cities.add_codes(places, airports, metropolitan)
    centres = cities.centres(known)
    (to / "countries.tsv").write_text(cities.centres_table(centres), encoding="utf-8")
    (to / "places.tsv").write_text(cities.places_table(places), encoding="utf-8")
    click.echo(f"{to}: {len(centres)} countries, {len(places)} places")


if __name__ == "__main__":
    main()
