"""The native readers: built where there is a C compiler; without them, Python reads."""

from setuptools import Extension, setup

_WARNINGS = ["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]

_NAMES = (
    *("processor.kafka._checksum", "processor.kafka._copy", "processor.kafka._draw"),
    "processor.wire._screen",
)

setup(
    ext_modules=[
        Extension(
            name, [name.replace(".", "/") + ".c"], optional=True, extra_compile_args=_WARNINGS
        )
        for name in _NAMES
    ]
)
