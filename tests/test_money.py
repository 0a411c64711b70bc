"""Amounts and quotes: whole millionths of a USD, never a float."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.errors import ConfigError
from veo.model import Model
from veo.money import Quote, clip_price, format_amount, quote, to_micros, to_usd
from veo.request import Request
from veo.update import RemoteVideo

MILLIONTHS = st.integers(-(10**15), 10**15)
BY_SIZE = {"720p": "0.10", "1080p": "0.12"}


def per_second_model(
    usd: Any = "0.40", per: str = "second", by: str = "resolution", **changes: Any
) -> Model:
    """Return a model that is billed by the second."""
    price = {
        "usd": usd,
        "per": per,
        "by": by,
        "charged": "on_success",
        "as_of": date(2026, 10, 1),
        "source": "a price list",
    }
    return make_model(price=price, **{"durations": (8, 4, 6)} | changes)


def per_video_model(usd: Any, by: str = "resolution", **changes: Any) -> Model:
    """Return a model that is billed by the video."""
    return per_second_model(usd, "video", by, **changes)


@given(MILLIONTHS)
def test_millionths_and_back(amount: int) -> None:
    """Converting an amount to USD and back loses nothing."""
    assert to_micros(to_usd(amount)) == amount


@given(MILLIONTHS)
def test_an_amount_is_never_written_with_an_exponent(amount: int) -> None:
    """Ten dollars are 10, not 1E+1."""
    assert "E" not in str(to_usd(amount)) + format_amount(to_usd(amount))


@given(st.lists(MILLIONTHS))
def test_sums_are_exact(amounts: list[int]) -> None:
    """Sums in USD and in millionths are equal."""
    assert sum(map(to_usd, amounts), Decimal(0)) == to_usd(sum(amounts))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.15", "$0.15"),
        ("0.1500", "$0.15"),
        ("3", "$3.00"),
        ("1E+1", "$10.00"),
        ("0", "$0.00"),
        ("0.0075", "$0.0075"),
        ("1E-6", "$0.000001"),
        ("1234.5", "$1234.50"),
    ],
)
def test_amounts_have_cents_and_more_digits_only_if_needed(amount: str, text: str) -> None:
    """The format that people write."""
    assert format_amount(Decimal(amount)) == text


class TestQuote:
    """The price of one request."""

    def test_a_price_per_call_ignores_the_length(self) -> None:
        """One call is one unit."""
        made = quote(Request(prompt="p"), make_model())
        assert (made.amount, made.quantity, made.per) == (Decimal("0.15"), 1, "call")

    @pytest.mark.parametrize(("duration", "amount"), [(None, "3.20"), (4, "1.60"), (6, "2.40")])
    def test_seconds_are_multiplied(self, duration: int | None, amount: str) -> None:
        """The model's default duration counts if the request has none; the product is exact."""
        made = quote(Request(prompt="p", duration=duration), per_second_model())
        assert made.amount == Decimal(amount)

    @pytest.mark.parametrize(("resolution", "amount"), [(None, "0.80"), ("1080p", "0.96")])
    def test_a_price_can_depend_on_the_resolution(
        self, resolution: str | None, amount: str
    ) -> None:
        """The model's default resolution counts if the request has none."""
        made = quote(Request(prompt="p", resolution=resolution), per_second_model(BY_SIZE))
        assert made.amount == Decimal(amount)

    def test_a_resolution_without_a_price_is_an_error(self) -> None:
        """It is not free of charge."""
        with pytest.raises(ConfigError, match="no price at 4k"):
            quote(Request(prompt="p", resolution="4k"), per_second_model(BY_SIZE))

    @pytest.mark.parametrize(("resolution", "amount"), [(None, "0.30"), ("360p", "0.10")])
    @pytest.mark.parametrize("duration", [None, 4])
    def test_a_price_per_video_can_depend_on_the_resolution(
        self, resolution: str | None, amount: str, duration: int | None
    ) -> None:
        """The length does not matter."""
        row = per_video_model({"360p": "0.10", "720p": "0.30"}, resolutions=("720p", "360p"))
        made = quote(Request(prompt="p", resolution=resolution, duration=duration), row)
        assert (made.amount, made.quantity) == (Decimal(amount), 1)

    @pytest.mark.parametrize(("duration", "amount"), [(None, "0.30"), (4, "0.20")])
    def test_a_price_per_video_can_depend_on_the_duration(
        self, duration: int | None, amount: str
    ) -> None:
        """The model's default duration counts if the request has none."""
        row = per_video_model({"8": "0.30", "4": "0.20", "6": "0.25"}, by="duration")
        assert quote(Request(prompt="p", duration=duration), row).amount == Decimal(amount)

    def test_a_price_per_second_can_depend_on_the_duration(self) -> None:
        """Long videos can be cheaper by the second."""
        row = per_second_model({"8": "0.10", "4": "0.12", "6": "0.12"}, by="duration")
        amounts = [quote(Request(prompt="p", duration=s), row).amount for s in (4, 6, 8)]
        assert amounts == [Decimal("0.48"), Decimal("0.72"), Decimal("0.80")]

    def test_a_duration_without_a_price_is_an_error(self) -> None:
        """It is not free of charge."""
        row = per_video_model({"8": "0.30"}, by="duration")
        with pytest.raises(ConfigError, match="no price at 4 s"):
            quote(Request(prompt="p", duration=4), row)

    def test_an_extension_costs_the_seconds_it_adds(self) -> None:
        """Its price does not include the video that it extends."""
        request = Request(prompt="p", extend=RemoteVideo("files/1"))
        assert quote(request, per_second_model(extend_s=7)).amount == Decimal("2.80")

    @pytest.mark.parametrize(("duration", "amount"), [(None, "4.00"), (5, "2.00")])
    def test_an_extension_can_add_seconds_of_choice(
        self, duration: int | None, amount: str
    ) -> None:
        """The first of the model's own list is the default."""
        request = Request(prompt="p", extend=RemoteVideo("files/1"), duration=duration)
        row = per_second_model(extend_durations=(10, 5))
        assert quote(request, row).amount == Decimal(amount)

    @pytest.mark.parametrize(
        ("seconds", "quantity"), [(8.0, 8), (8.04, 8), (8.4, 9), (21.0, 21), (None, 8)]
    )
    def test_an_edit_costs_the_seconds_of_its_video(
        self, seconds: float | None, quantity: int
    ) -> None:
        """It makes the whole video anew; of an unknown length, the most that the model makes."""
        request = Request(prompt="p", edit=RemoteVideo("files/1", seconds=seconds))
        made = quote(request, per_second_model())
        assert (made.quantity, made.amount) == (quantity, quantity * Decimal("0.40"))

    def test_it_names_the_source_of_the_price(self) -> None:
        """It has the date and the source of the price row, and whether the user set the price."""
        made = quote(Request(prompt="p"), per_second_model(overridden=True))
        assert (made.as_of, made.source, made.overridden) == (
            date(2026, 10, 1),
            "a price list",
            True,
        )

    @given(
        st.builds(
            Quote,
            amount=st.decimals(0, 1000, allow_nan=False),
            charged=st.sampled_from(["on_success", "on_accept"]),
            per=st.sampled_from(["call", "second"]),
            unit=st.decimals(0, 1000, allow_nan=False),
            quantity=st.integers(1, 8),
            as_of=st.dates(),
            source=st.text(),
            overridden=st.booleans(),
            by_usage=st.booleans(),
        )
    )
    def test_json_and_back(self, made: Quote) -> None:
        """JSON text and back gives the same quote, to the last digit."""
        assert Quote.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("row", "amount"),
    [
        (make_model(), "0.15"),
        (per_second_model("0.10"), "0.80"),
        (per_video_model({"720p": "0.30"}), "0.30"),
        (per_video_model({"4": "0.20", "6": "0.25", "8": "0.40"}, by="duration"), "0.40"),
    ],
)
def test_the_clip_that_prices_are_compared_by(row: Model, amount: str) -> None:
    """It has 8 seconds of 720p, however the price is written."""
    assert clip_price(row) == Decimal(amount)


@pytest.mark.parametrize("shape", [{"durations": (20,)}, {"resolutions": ("1080p",)}])
def test_a_model_that_makes_no_such_clip(shape: dict[str, Any]) -> None:
    """It has no price to compare."""
    assert clip_price(make_model(**shape)) is None


def test_a_price_per_video_prints_as_before() -> None:
    """A row may say "video"; ledgers and JSON output say "call"."""
    row = per_video_model("0.30")
    assert (row.price.per, quote(Request(prompt="p"), row).to_json()["per"]) == ("call", "call")
