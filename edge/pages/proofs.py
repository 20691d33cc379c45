"""What is known of a site's templates: which proved shareable, until when, and which did not."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from edge.policy.likeness import Traces
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules

DAY = 86_400.0
MOST = 10_000  # templates that are remembered
MOST_MARKS = 16  # of one template's pages
PAUSE = 60.0  # seconds until what failed is tried again; doubles up to
LONGEST_PAUSE = 3600.0
CLAIM = 60.0  # seconds that a proof under way keeps others from beginning one


@dataclass(frozen=True, slots=True)
class Proof:
    """Pages of one template, with one mark, are the same for all who are anonymous."""

    traces: Traces
    until: float  # monotonic


@dataclass(frozen=True, slots=True)
class Failure:
    """Why pages of a template are not shared: the reason, and what gave them away."""

    reason: NotStored
    what: str
    until: float  # monotonic
    pause: float


@dataclass(slots=True)
class Template:
    """One shape of path on one site, under the rules that held when it was first seen.

    `failures`, by whether the asker bore cookies: what fails for one who does may only be his own page.
    """

    rules: SiteRules
    proofs: dict[str, Proof] = field(default_factory=dict)  # by mark
    failures: dict[bool, Failure] = field(default_factory=dict)
    claimed: float = 0.0  # monotonic: until when a proof is under way
    pageless: bool = False  # something else than a page came: nothing is to be proven of it

    def is_proven(self, now: float) -> bool:
        """Whether any of its pages are."""
        return any(now < proof.until for proof in self.proofs.values())

    def proof(self, mark: str, now: float) -> Proof | None:
        """The proof for pages that bear `mark`."""
        proof = self.proofs.get(mark)
        return proof if proof is not None and now < proof.until else None

    def failure(self, now: float, *, cookied: bool) -> Failure | None:
        """Why it would be of no use to try again now, for an asker with cookies or without."""
        for kind in (False, True) if cookied else (False,):
            failure = self.failures.get(kind)
            if failure is not None and now < failure.until:
                return failure
        return None

    def claim(self, now: float) -> bool:
        """Begin a proof, unless one is under way."""
        if now < self.claimed:
            return False
        self.claimed = now + CLAIM
        return True

    def proved(self, mark: str, traces: Traces, now: float) -> None:
        """Its pages with `mark` may be shared, for a day."""
        self.claimed = 0.0
        self.failures.clear()
        self.proofs.pop(mark, None)
        if len(self.proofs) >= MOST_MARKS:
            del self.proofs[next(iter(self.proofs))]
        self.proofs[mark] = Proof(traces, now + DAY)

    def failed(self, reason: NotStored, what: str, now: float, *, cookied: bool) -> None:
        """A proof failed: what was proven of it holds no longer."""
        self.claimed = 0.0
        before = self.failures.get(cookied)
        pause = PAUSE if before is None else min(LONGEST_PAUSE, 2 * before.pause)
        self.failures[cookied] = Failure(reason, what, now + pause, pause)


class Proofs:
    """Templates by site and shape; the least recently asked for are forgotten first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._templates: OrderedDict[tuple[str, str], Template] = OrderedDict()

    def __len__(self) -> int:
        return len(self._templates)

    def of(self, rules: SiteRules, shape: str) -> Template:
        """The template of `shape`; nothing is known of it where the site's rules have changed."""
        key = rules.name, shape
        template = self._templates.get(key)
        if template is None or template.rules is not rules:
            template = self._templates[key] = Template(rules)
            if len(self._templates) > self._most:
                self._templates.popitem(last=False)
        self._templates.move_to_end(key)
        return template

    def known(self, rules: SiteRules, shape: str) -> Template | None:
        """The same without a trace, for explanations."""
        template = self._templates.get((rules.name, shape))
        return template if template is not None and template.rules is rules else None

    def forget(self, site: str) -> None:
        """Nothing is known of `site` any more."""
        for key in [key for key in self._templates if key[0] == site]:
            del self._templates[key]
