"""The kinds of commands about identities and authorities."""

from __future__ import annotations

from bpci_node.chain import authority_terms, identity, voucher
from bpci_node.chain.forms import Empty
from bpci_node.chain.kinds import Kind

_QUORUM_FOR = "A quorum of the guardians signed it"
_IDENTITY = ("identity.unknown", "The identity exists.")
_PENDING = ("authority.not_requested", "The account's request is pending.")
_NAME = ("authority.name_taken", "No other authority has the name, or one that looks like it.")
_VOUCHERS = ("authority.vouchers", "Five of its vouchers have standing now.")
_TERMS = ("authority.terms", "It has had fewer than 16 terms.")

KINDS = (
    Kind(
        name="authority.grant",
        summary="Makes a candidate a community or bank authority.",
        body=voucher.Candidate,
        apply=authority_terms.grant_authority,
        rules=(
            _PENDING,
            ("authority.upgrade", "It is not for a hybrid."),
            ("access.quorum", f"{_QUORUM_FOR}, if it is for a bank."),
            _VOUCHERS,
            _TERMS,
            _NAME,
        ),
        effects="A term of the authority begins, the request goes; the first one adds to its reputation.",
        events=("authority.granted", "reputation.changed"),
        takes_approvals=True,
    ),
    Kind(
        name="authority.request",
        summary="Asks to be an authority.",
        body=voucher.AuthorityRequest,
        check=voucher.check_request,
        apply=voucher.request_authority,
        rules=(
            ("format.name", "The name keeps the rules of names."),
            ("format.body", "Approvals and sponsor fit the type."),
            ("identity.unknown", "The sender has a D-Adhaar."),
            ("authority.barred", "It was never revoked for cause."),
            ("authority.active", "It is no authority, but for one that is to become a hybrid."),
            ("authority.not_community", "Who is to become a hybrid is a community authority."),
            _NAME,
        ),
        effects="The request is pending, without vouchers; those of an earlier one are free.",
        events=("authority.requested",),
    ),
    Kind(
        name="authority.revoke",
        summary="Ends an authority; the sender may resign, the guardians may revoke, and void what it issued.",
        body=authority_terms.AuthorityEnd,
        apply=authority_terms.revoke_authority,
        rules=(
            ("authority.unknown", "The account was an authority."),
            ("access.quorum", f"{_QUORUM_FOR}; the authority itself may do without, unless something is voided."),
            ("authority.height", "It takes effect at this block or later, and voids nothing of later blocks."),
            ("authority.ended", "It ends earlier than it would have, or something is voided."),
        ),
        effects="The last term ends; every term's issues from `void_height` on are void, and then its reputation and "
        "that of its vouchers and sponsor fall, once. Its vouchers may vouch for others.",
        events=("authority.revoked", "reputation.changed"),
        takes_approvals=True,
    ),
    Kind(
        name="authority.upgrade",
        summary="Makes a community authority a hybrid. Its sponsor sends it.",
        body=voucher.Candidate,
        apply=authority_terms.upgrade_authority,
        rules=(
            _PENDING,
            ("authority.sponsor", "The sender is the sponsor that the request names."),
            ("authority.not_active", "The sponsor is an active bank authority."),
            ("access.quorum", f"{_QUORUM_FOR}."),
            ("authority.not_community", "It is still a community authority, of which no end is known."),
            _VOUCHERS,
            _TERMS,
            _NAME,
        ),
        effects="Its term as a community authority ends, and one as a hybrid begins.",
        events=("authority.upgraded",),
        takes_approvals=True,
    ),
    Kind(
        name="authority.vouch",
        summary="Vouches for a candidate.",
        body=voucher.Candidate,
        apply=voucher.vouch,
        rules=(
            _PENDING,
            ("authority.self", "It is another account."),
            ("authority.vouched", "The sender does not vouch for it yet."),
            ("authority.standing", "The sender has standing."),
            ("authority.vouches", "The sender vouches for fewer than 8, and the candidate has fewer than 32."),
        ),
        effects="The candidate has a voucher more.",
        events=("authority.vouched",),
    ),
    Kind(
        name="authority.withdraw_vouch",
        summary="Vouches no longer for a candidate.",
        body=voucher.Candidate,
        apply=voucher.withdraw_vouch,
        rules=(_PENDING, ("authority.not_vouched", "The sender vouches for it.")),
        effects="The candidate has a voucher less.",
        events=("authority.vouch_withdrawn",),
    ),
    Kind(
        name="identity.create_dadhaar",
        summary="Creates the sender's identity.",
        body=Empty,
        apply=identity.create_dadhaar,
        rules=(("identity.exists", "The account has none."),),
        effects="The identity, named by the `did:key` name of the key that signs.",
        events=("identity.created",),
    ),
    Kind(
        name="identity.enter_document",
        summary="Binds a `did:web` name to the sender, on the word of an authority that resolved its document.",
        body=identity.Resolution,
        apply=identity.enter_document,
        rules=(
            ("identity.document_key", "`public_key` is a current key of the sender."),
            ("identity.document_height", "It was resolved before this block, and at most 10,000 blocks ago."),
            ("identity.self", "The resolver is not the sender."),
            ("authority.not_active", "The resolver is a guardian, or an active bank or hybrid authority."),
            ("identity.resolver_key", "`resolver_key` is a current key of the resolver."),
            ("proof.signature", "The resolver signed."),
            ("identity.document_taken", "No other account has the name by as late a resolution."),
        ),
        effects="What the ledger knows of the name.",
        events=("identity.document_entered",),
    ),
    Kind(
        name="identity.issue_credential",
        summary="Records a credential that the sender issued.",
        body=identity.Issue,
        apply=identity.issue_credential,
        rules=(
            ("authority.not_active", "The sender is an active authority that may attest the level."),
            _IDENTITY,
            ("identity.not_requested", "The identity asked the sender for this level, or a higher one."),
            ("identity.index", "`index` is the sender's next place."),
            ("identity.expiry", "The credential has not expired at block time."),
            ("identity.credential_exists", "The credential was not recorded before."),
            ("identity.credentials", "The identity carries fewer than 8 credentials of others."),
        ),
        effects="The identity carries the credential in place of an earlier one of the sender's; the request is used "
        "up; its reputation changes.",
        events=("identity.credential_issued", "reputation.changed"),
    ),
    Kind(
        name="identity.request_credential",
        summary="Asks an authority to attest a level of KYC to the sender.",
        body=identity.Request,
        apply=identity.request_credential,
        rules=(
            ("identity.unknown", "The sender has a D-Adhaar."),
            ("identity.self", "The authority is another account."),
            ("authority.not_active", "It is an active authority that may attest the level."),
        ),
        effects="The request is pending, in place of an earlier one to this authority.",
        events=("identity.credential_requested",),
    ),
    Kind(
        name="identity.revoke_credential",
        summary="Revokes a credential. Its issuer may, and its holder.",
        body=identity.Revocation,
        apply=identity.revoke_credential,
        rules=(
            ("identity.credential_unknown", "The ledger knows it."),
            ("identity.not_yours", "The sender issued it, or holds it."),
            ("identity.revoked", "It is not revoked."),
        ),
        effects="Its bit in the issuer's status list; the identity carries it no longer; the holder's reputation "
        "loses what it had added.",
        events=("identity.credential_revoked", "reputation.changed"),
    ),
)
