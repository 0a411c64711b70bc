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

No test is skipped by the provider's name: a test is skipped if it needs what a model does not
offer, or what the server cannot do.
"""

from veo.testing.service import Service, Trouble
from veo.testing.suite import Conformance

__all__ = ["Conformance", "Service", "Trouble"]
