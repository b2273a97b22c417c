-- Most taps are of city cards that pay a ride from their purse, taken online: these are judged by one statement that
-- touches nothing but the card's row, the tap and its fare. Whatever else there may be is left to judge_taps.

-- A card's tap as judge_card_taps is given it; the fields are those of tap_given.
CREATE TYPE card_tap_given AS (
    ord integer, operator text, device text, id uuid, boot text, seq bigint, ts float8, received float8, card_uid bytea,
    counter integer, key_version integer, vehicle text, stop_id text, lat float8, lon float8, hash bytea,
    quote_minor bigint, taps_seen integer, rating_due boolean, route_id text, direction_id smallint, at_lat real,
    at_lon real
);

-- Books what can be accepted of online taps of cards, one a card, given in the order of their uids: all that decides
-- about such a tap is in the card's row, which is read anew after a wait for its lock. left_over, in the first row, are
-- the numbers of those that must be judged as any other: refused, of a card with tickets or ever denied, too far from
-- its last place, of a stale quote, or known. Nothing was done about them. The receipts come after, as in judge_taps.
CREATE FUNCTION judge_card_taps(
    p_taps card_tap_given[], p_operator text[], p_device text[], p_boot text[], p_answered text[], p_fare bigint,
    p_currency text, p_purse_passback interval, p_kmh float8
) RETURNS TABLE (left_over integer[], operator text, device text, boot text, seq_through bigint)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    booked integer[];
    rest integer[] := '{}';
BEGIN
    WITH taken AS (
        -- The order of the locks is that of the array: everyone locks cards by uid.
        UPDATE card c SET
            counter = g.counter,
            balance_minor = c.balance_minor - g.price,
            last_used_at = greatest(c.last_used_at, g.at),
            last_place = CASE WHEN c.last_used_at > g.at THEN c.last_place ELSE g.place END,
            last_tap = g.id,
            taps = c.taps + 1,
            last_lat = CASE WHEN c.last_used_at > g.at THEN c.last_lat ELSE g.at_lat END,
            last_lon = CASE WHEN c.last_used_at > g.at THEN c.last_lon ELSE g.at_lon END
        FROM (
            SELECT t.*, to_timestamp(t.received) AS at, t.operator || '/' || coalesce(t.vehicle, t.device) AS place,
                   coalesce(t.quote_minor, p_fare) AS price
            FROM unnest(p_taps) t OFFSET 0
        ) g
        WHERE c.uid = g.card_uid AND c.key_version = g.key_version AND c.status = 'active' AND c.counter < g.counter
              AND c.balance_minor >= g.price
              AND (c.last_place = g.place AND g.at >= c.last_used_at AND g.at < c.last_used_at + p_purse_passback)
                  IS NOT TRUE
              AND (g.taps_seen <> c.taps) IS NOT TRUE
              AND (g.at_lat IS NULL
                   OR too_far(g.at_lat, g.at_lon, g.at, c.last_lat, c.last_lon, c.last_used_at, p_kmh) IS NOT TRUE)
              AND NOT EXISTS (SELECT FROM ticket t WHERE t.card_uid = g.card_uid)
              AND NOT EXISTS (SELECT FROM deny_entry d WHERE d.medium = g.card_uid)
        RETURNING g.*
    ), fare_booked AS (
        INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, tap_id, made_by)
        SELECT 'fare', 'purse:' || encode(b.card_uid, 'hex'), 'fares', b.price, p_currency, b.card_uid, b.id,
               b.operator || ':' || b.device
        FROM taken b WHERE b.price > 0
    ), stored AS (
        INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, card_uid, card_counter, vehicle,
                         stop_id, lat, lon, content_hash, verdict, charged_minor, currency, clock_off, route_id,
                         direction_id, account, rating_due, counter_used)
        SELECT b.operator, b.device, b.id, b.boot, b.seq, to_timestamp(b.ts), b.at, 'card', b.card_uid, b.counter,
               b.vehicle, b.stop_id, b.lat, b.lon, b.hash, 'accepted', b.price, p_currency,
               abs(b.ts - b.received) > 300, b.route_id, b.direction_id, 'card:' || encode(b.card_uid, 'hex'),
               b.rating_due, true
        FROM taken b
    )
    SELECT array_agg(b.ord) INTO booked FROM taken b;

    IF coalesce(cardinality(booked), 0) < cardinality(p_taps) THEN
        rest := ARRAY(SELECT g.ord FROM unnest(p_taps) g EXCEPT SELECT unnest(booked));
        SELECT array_agg(n.operator), array_agg(n.device), array_agg(n.boot), array_agg(n.answered::text)
        INTO p_operator, p_device, p_boot, p_answered
        FROM (
            SELECT g.operator, g.device, g.boot, range_agg(int8range(g.seq, g.seq, '[]')) AS answered
            FROM unnest(p_taps) g WHERE g.ord = ANY (booked) GROUP BY 1, 2, 3
        ) n;
    END IF;
    RETURN QUERY SELECT rest, NULL::text, NULL::text, NULL::text, NULL::bigint;
    RETURN QUERY SELECT NULL::integer[], m.* FROM mark_answered(p_operator, p_device, p_boot, p_answered) m;
END
$$;
