import pytest


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/registry/search?type=miner", 400, "format.node_type"),
        ("/v1/registry/search?status=dead", 400, "format.node_query"),
        ("/v1/registry/search?capability=%C3%A9", 400, "format.node_query"),
        ("/v1/registry/search?after=%00", 400, "format.account"),
        ("/v1/registry/search?limit=0", 400, "format.request"),
        ("/v1/registry/nodes/nobody/liveness", 400, "format.did"),
        ("/v1/registry/miners?pool=A", 400, "format.pool"),
        ("/v1/validators?height=-1", 400, "format.request"),
        ("/v1/validators/%C3%A9", 404, "validator.unknown"),
        ("/v1/validators/bpa1" + "a" * 32, 404, "validator.unknown"),
    ],
)
def test_nonsense_is_refused_with_a_code(served, path, status, code):
    reply = served.http.get(path)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_a_ledger_without_nodes_answers(served):
    assert served.http.get("/v1/registry/search?validator=true").json()["nodes"] == []
    assert served.http.get("/v1/validators").json()["members"] == []
    assert served.http.get("/v1/registry/miners").json() == {"miners": [], "next": None}
    found = served.http.get("/v1/registry/admission").json()
    assert (found["bits"], found["left"]) == (20, 100)
