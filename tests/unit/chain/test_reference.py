from scripts.ledger_reference import FILE, updated


def test_the_published_reference_of_commands_is_what_the_code_says():
    text = FILE.read_text(encoding="utf-8")
    assert updated(text) == text, "run scripts/ledger_reference.py"
