"""What is compiled, which `pyproject.toml` cannot say yet: its own way is experimental."""

from setuptools import Extension, setup

# optional: where there is no C compiler it is left out, and Python does its work
setup(
    ext_modules=[Extension("shroff._speedups", ["src/shroff/_speedups.pyx"], optional=True)],
)
