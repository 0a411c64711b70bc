"""The conformance suite for providers, for their own tests; it needs pytest.

A provider's test module says which provider it is, and starts its other side: a local server that
speaks its wire. pytest collects the rest::

    import pytest

    pytest.register_assert_rewrite("veo.testing")
    from veo.testing import Conformance


    class TestFlipbook(Conformance):
        providers = ("flipbook",)

        @pytest.fixture
        def service(self):
            with FlipbookServer() as server:
                yield server

Nothing is skipped by name: a test that needs what a row does not offer, or what the server cannot
do, is skipped.
"""

from veo.testing.service import Service, Trouble
from veo.testing.suite import Conformance

__all__ = ["Conformance", "Service", "Trouble"]
