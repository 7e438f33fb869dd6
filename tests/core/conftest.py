import zoneinfo

import pytest


@pytest.fixture(scope="session", autouse=True)
def zone_data_of_the_package() -> None:
    """The oracle reads the zone data that the kernel reads, whatever the host has."""
    zoneinfo.reset_tzpath(to=())
