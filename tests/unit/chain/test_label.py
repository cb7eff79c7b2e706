"""Names of institutions: what can be read for another name is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.chain.label import check_label, skeleton
from bpci_node.errors import FormatError


@pytest.mark.parametrize("name", ["First Bank", "Société Générale", "Müller & Söhne", "भारतीय बैंक 2", "O'Neill-Bank"])
def test_plain_names_are_taken(name):
    check_label(name)


@pytest.mark.parametrize(
    "name",
    [
        "First B\u0430nk",  # a Cyrillic a
        "\u0421\u0431\u0435\u0440",  # wholly Cyrillic
        "\u0391lpha Bank",  # a Greek Alpha
        "\uff26irst Bank",  # a full-width F
        "\ufb01rst Bank",  # the ligature fi
        "Mu\u0308ller",  # not composed
        "First\u200bBank",  # a space of no width
        "First\u202ebank",  # turns the writing round
        "First  Bank",
        " First",
        "Bank.",
        "1st Bank",
        "भारत Bank",  # two scripts
        "b\u0131nk",  # a dotless i
    ],
)
def test_what_may_deceive_is_refused(name):
    with pytest.raises(FormatError) as caught:
        check_label(name)
    assert caught.value.code == "format.name"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("First Bank", "FIRST-BANK"),
        ("First Bank", "F1rst Bank"),
        ("First Bank", "Flrst Bank"),
        ("Modern Bank", "Modem Bank"),
        ("Société", "Societe"),
        ("Boom", "B00m"),
        ("Cloud", "doud"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one, other):
    assert skeleton(one) == skeleton(other)


@given(st.text(min_size=3, max_size=40))
def test_any_text_is_taken_or_refused(name):
    with suppress(FormatError):
        check_label(name)
        assert skeleton(name)
