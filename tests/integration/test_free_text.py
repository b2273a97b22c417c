"""A card number that a dispatcher types by mistake, over HTTP: it reaches neither driver, nor stream, nor table."""

from __future__ import annotations

from tests.integration.web_running import running_web

NUMBER = "4111 1111 1111 1111"


async def test_no_card_number_reaches_a_driver_or_an_alert(tmp_path):
    async with running_web(tmp_path) as web, web.client(headers=web.bearer("dispatcher", "desk1")) as client:
        order = {"operator_id": "kp", "vehicle_id": "102", "kind": "message", "text": f"call {NUMBER}"}
        async with client.post("/api/v1/instructions", json=order) as reply:
            assert reply.status < 300, await reply.text()
        assert [instruction.text for instruction in web.desk.sent] == ["call ************1111"]
        async with client.get("/api/v1/alerts") as reply:
            alert = (await reply.json())["alerts"][0]
        async with client.post(f"/api/v1/alerts/{alert['id']}/close", json={"reason": f"card {NUMBER}"}) as reply:
            text = await reply.text()
        assert "4111" not in text
        assert "card ************1111" in text or reply.status == 404
