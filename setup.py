"""What pyproject.toml cannot say: the parts that are compiled where there is a compiler.

They are Python as they stand. Without a compiler they are left out here and run interpreted.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILED = (
    "edge.http.message", "edge.lane", "edge.door", "edge.ids", "edge.series", "edge.access_log",
    "edge.store.ranking", "edge.store.remembered", "edge.store.eviction",
    "geo.spread", "geo.dns.siphash", "geo.dns.rates", "geo.dns.lane",
)  # fmt: skip

setup(
    ext_modules=cythonize(
        [Extension(name, [f"{name.replace('.', '/')}.py"], optional=True) for name in COMPILED],
        build_dir="build",
        language_level=3,
        compiler_directives={"annotation_typing": True},
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
