"""A directory after changes answers like a new directory of the same services."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.core.messages import SenderType
from processor.core.services import Directory, PoolSender, Service, Webhook
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT, OTHER_LONG_CODE, SHORT_CODE, a_service
from tests.strategies import any_configurations

ACCOUNTS = (ACCOUNT, OTHER_ACCOUNT)
SIDS = ("MG1", "MG2", "MG3")
ADDRESSES = (LONG_CODE, OTHER_LONG_CODE, SHORT_CODE)
# Any pool may claim any sender, even against the rules.
pools = st.lists(
    st.builds(
        PoolSender,
        st.sampled_from(ADDRESSES),
        st.sampled_from([SenderType.LONG_CODE, SenderType.TOLL_FREE]),
    ),
    max_size=3,
)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, Service | None]]:
    made: list[tuple[str, Service | None]] = []
    for version in range(draw(st.integers(1, 8))):
        sid = draw(st.sampled_from(SIDS))
        service = a_service(
            sid=sid,
            account_sid=draw(st.sampled_from(ACCOUNTS)),
            senders=tuple(draw(pools)),
            active=draw(st.none() | any_configurations),
            version=version,
            webhook=draw(st.none() | st.just(Webhook("https://example.com"))),
        )
        made.append((sid, draw(st.none() | st.just(service))))
    return made


@given(changes())
def test_a_changed_directory_answers_as_one_made_anew(
    made: list[tuple[str, Service | None]],
) -> None:
    changed, now = Directory(), dict[str, Service]()
    for sid, service in made:
        changed.change({sid: service})
        now.pop(sid, None)
        if service:
            now[sid] = service
        anew = Directory(now.values())
        assert changed.webhooks == anew.webhooks
        assert changed.has_webhooks is anew.has_webhooks
        assert changed.prefilter._heads == anew.prefilter._heads
        assert changed.prefilter._ascii_ends == anew.prefilter._ascii_ends
        assert changed.prefilter._roots == anew.prefilter._roots
        assert changed.prefilter._ends == anew.prefilter._ends
        for account in ACCOUNTS:
            for named in (None, *SIDS):
                for address in ADDRESSES:
                    asked = account, named, address
                    assert changed.handling(*asked) == anew.handling(*asked)
                    assert changed.service_of(*asked) == anew.service_of(*asked)
