"""The conformance suite for the tests of a provider; it needs pytest.

A provider's test module names the provider, and starts a local server that imitates the service.
pytest collects the rest::

    import pytest

    pytest.register_assert_rewrite("veo.testing")
    from veo.testing import Conformance


    class TestFlipbook(Conformance):
        providers = ("flipbook",)

        @pytest.fixture
        def service(self):
            with FlipbookServer() as server:
                yield server

No test depends on a provider's name. A test runs with the models that offer what it needs, and is
skipped if the server cannot do what it needs.
"""

from veo.testing.service import Service, Trouble
from veo.testing.suite import Conformance

__all__ = ["Conformance", "Service", "Trouble"]
