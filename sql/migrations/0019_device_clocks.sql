-- A tap whose validator's clock is known to be wrong is judged, rated and shown at the instant at which it was made.
ALTER TABLE tap ADD COLUMN judged_at timestamptz;

-- By how much a device's clock is behind ours (below 0: ahead; 0: it is right), from what it sent online in one boot.
CREATE TABLE validator_clock (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    boot text COLLATE "C" NOT NULL,
    behind_s float8 NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operator, device, boot)
);

-- When a tap that is told rather than asked was made, by its device's clock unless that cannot be true (Unix seconds).
CREATE FUNCTION told_at_s(ts float8, received float8) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN
    CASE WHEN ts BETWEEN received - 2592000 AND received + 300 THEN least(ts, received) ELSE received END;

-- When a tap was made, as the judge takes it: by our clock while online and not late, else by the device's own unless
-- that cannot be true, or is known to be wrong.
CREATE OR REPLACE FUNCTION tap_at(t tap) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN CASE
        WHEN t.judged_at IS NOT NULL THEN t.judged_at
        WHEN (t.offline_verdict IS NOT NULL OR 'late' = ANY (t.flags))
             AND t.taken_at BETWEEN t.received_at - interval '30 days' AND t.received_at + interval '300 seconds'
            THEN least(t.taken_at, t.received_at)
        ELSE t.received_at
    END;

-- The judges as before, but that they keep such an instant and flag its tap `clock`.
CREATE OR REPLACE FUNCTION judge_taps(
    p_taps tap_given[], p_operator text[], p_device text[], p_boot text[], p_answered text[], p_fare bigint,
    p_currency text, p_purse_passback interval, p_kmh float8
) RETURNS TABLE (
    ord integer, verdict verdict, reason text, until_s float8, charged_minor bigint, currency text, conflict boolean,
    riders smallint, operator text, device text, boot text, seq_through bigint
) LANGUAGE plpgsql
-- A plan made while the tables were small would be kept while they grow: only the indexes are right for every size, and
-- planning each batch anew would cost more than judging it. Compiling it would, too.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    stale integer[];
BEGIN
    -- Everyone locks cards by uid, then tickets by id: two batches never wait for each other in a circle.
    PERFORM FROM card WHERE uid = ANY (ARRAY(SELECT g.card_uid FROM unnest(p_taps) g)) ORDER BY uid FOR NO KEY UPDATE;
    PERFORM FROM ticket WHERE id IN (
        SELECT g.ticket_id FROM unnest(p_taps) g
        UNION
        SELECT t.id FROM ticket t WHERE t.card_uid = ANY (ARRAY(SELECT g.card_uid FROM unnest(p_taps) g))
    ) ORDER BY id FOR NO KEY UPDATE;

    IF EXISTS (SELECT FROM unnest(p_taps) g WHERE g.taps_seen IS NOT NULL) THEN
        stale := ARRAY(
            SELECT g.ord FROM unnest(p_taps) g JOIN card c ON c.uid = g.card_uid LEFT JOIN ticket t ON t.id = g.quote_ticket
            WHERE g.taps_seen <> c.taps
                  OR g.taps_seen IS NOT NULL AND g.quote_ticket IS NOT NULL
                     AND (t.card_uid = g.card_uid
                          AND judge_ticket(t, to_timestamp(g.at_s), g.networks::text[],
                                           g.operator || '/' || coalesce(g.vehicle, g.device))
                              IN ('accepted', 'passback')) IS NOT TRUE
        );
        RETURN QUERY
        SELECT o, NULL::verdict, 'stale_quote', NULL::float8, NULL::bigint, NULL::text, NULL::boolean, NULL::smallint,
               NULL::text, NULL::text, NULL::text, NULL::bigint
        FROM unnest(stale) o;
        p_taps := ARRAY(SELECT g FROM unnest(p_taps) g WHERE g.ord <> ALL (stale));
        SELECT array_agg(n.operator), array_agg(n.device), array_agg(n.boot), array_agg(n.answered::text)
        INTO p_operator, p_device, p_boot, p_answered
        FROM (
            SELECT g.operator, g.device, g.boot, range_agg(int8range(g.seq, g.seq, '[]')) AS answered
            FROM unnest(p_taps) g GROUP BY 1, 2, 3
        ) n;
    END IF;

    FOR this_round IN 1 .. (SELECT coalesce(max(g.round), 0) FROM unnest(p_taps) g) LOOP
        RETURN QUERY
        WITH booked AS MATERIALIZED (
            SELECT j.*, NOT j.known AND j.verdict = 'accepted' AS taken,
                   NOT j.known AND coalesce(j.offline = 'accepted' AND j.verdict <> 'accepted', false) AS clash
            FROM (
                SELECT f.*,
                       coalesce(f.preset,
                                CASE WHEN f.card_uid IS NOT NULL AND NOT f.counter_new
                                          AND f.medium_says IS DISTINCT FROM 'unknown'::verdict
                                          AND f.medium_says IS DISTINCT FROM 'bad_signature'::verdict
                                     THEN 'replayed'::verdict END,
                                -- What a validator refused by itself stays refused; nothing is booked for it.
                                CASE WHEN f.offline <> 'accepted' THEN f.offline::verdict END,
                                least(f.medium_says, f.list_says, f.says)) AS verdict
                FROM (
                    -- OFFSET 0 keeps each step one step: merged, the expressions would be computed where they are used.
                    SELECT g.*, to_timestamp(g.at_s) AS at, k.id IS NOT NULL AS known,
                           c.uid IS NOT NULL AND c.key_version = g.key_version AND NOT EXISTS (
                               SELECT FROM tap u WHERE u.card_uid = g.card_uid AND u.card_counter = g.counter
                                                   AND u.counter_used
                           ) AND NOT EXISTS (
                               SELECT FROM card_use u WHERE u.card_uid = g.card_uid AND u.counter = g.counter
                           ) AND (g.offline IS NOT NULL OR g.late OR g.counter > c.counter) AS counter_new,
                           coalesce(q.id, h.id) AS holds,
                           coalesce(q.valid_until, h.valid_until) AS valid_until,
                           coalesce(q.last_tap, h.last_tap, c.last_tap) AS last_tap,
                           coalesce(q.riders, CASE WHEN h.says = 'accepted' THEN h.riders END, 1::smallint) AS riders,
                           coalesce(h.says IN ('accepted', 'passback'), g.card_uid IS NULL) AS by_ticket,
                           coalesce(CASE WHEN g.card_uid IS NULL
                               THEN too_far(g.at_lat, g.at_lon, to_timestamp(g.at_s), q.last_lat, q.last_lon,
                                            q.last_used_at, p_kmh)
                               ELSE too_far(g.at_lat, g.at_lon, to_timestamp(g.at_s), c.last_lat, c.last_lon,
                                            c.last_used_at, p_kmh) END, false) AS elsewhere,
                           CASE
                               WHEN g.card_uid IS NULL
                                   THEN judge_ticket(q, to_timestamp(g.at_s), g.networks::text[], g.place)
                               WHEN h.says = 'accepted' AND c.balance_minor < g.quote_minor THEN 'insufficient_funds'::verdict
                               WHEN h.says IN ('accepted', 'passback') OR g.quote_ticket IS NOT NULL
                                   THEN coalesce(h.says, 'unknown'::verdict)
                               WHEN c.last_place = g.place AND to_timestamp(g.at_s) >= c.last_used_at
                                    AND to_timestamp(g.at_s) < c.last_used_at + p_purse_passback THEN 'passback'::verdict
                               WHEN c.balance_minor >= coalesce(g.quote_minor, p_fare) THEN 'accepted'::verdict
                               ELSE coalesce(h.says, 'insufficient_funds'::verdict)
                           END AS says,
                           CASE WHEN g.card_uid IS NULL THEN 0 WHEN g.quote_minor IS NOT NULL THEN g.quote_minor
                                WHEN h.says IN ('accepted', 'passback') THEN 0 ELSE p_fare END AS price,
                           CASE
                               WHEN g.card_uid IS NULL AND q.id IS NULL THEN 'unknown'::verdict
                               WHEN g.card_uid IS NOT NULL AND c.uid IS NULL THEN 'unknown'::verdict
                               WHEN c.key_version <> g.key_version THEN 'bad_signature'::verdict
                               WHEN c.status = 'revoked' THEN 'revoked'::verdict
                               WHEN c.status = 'suspended' THEN 'suspended'::verdict
                           END AS medium_says,
                           -- denied() written out: as a function it would be called for each tap.
                           CASE WHEN (SELECT NOT d.removed FROM deny_entry d
                                      WHERE d.medium = coalesce(g.card_uid, uuid_send(g.ticket_id))
                                        AND d.kind = CASE WHEN g.card_uid IS NULL THEN 'ticket' ELSE 'card' END
                                      ORDER BY d.seq DESC LIMIT 1) THEN 'denied'::verdict END AS list_says
                    FROM (
                        SELECT t.*, t.operator || '/' || coalesce(t.vehicle, t.device) AS place,
                               t.offline IS NULL AND t.at_s < t.received AS late,
                               (t.offline IS NOT NULL OR t.at_s < t.received)
                                   AND t.at_s <> told_at_s(t.ts, t.received) AS righted
                        FROM unnest(p_taps) t WHERE t.round = this_round OFFSET 0
                    ) g
                    LEFT JOIN tap k ON k.operator = g.operator AND k.device = g.device AND k.id = g.id
                    LEFT JOIN card c ON c.uid = g.card_uid
                    LEFT JOIN ticket q ON q.id = g.ticket_id AND q.card_uid IS NULL
                    LEFT JOIN LATERAL (
                        SELECT t.id, t.valid_until, t.last_tap, t.riders,
                               judge_ticket(t, to_timestamp(g.at_s), g.networks::text[], g.place) AS says
                        FROM ticket t
                        WHERE t.card_uid = g.card_uid AND (g.quote_minor IS NULL OR t.id = g.quote_ticket)
                        -- What would let the rider in first; a pass before rides, what ends first before what lasts.
                        ORDER BY says DESC, t.uses_allowed NULLS FIRST, t.valid_until LIMIT 1
                    ) h ON true
                    OFFSET 0
                ) f
                OFFSET 0
            ) j
        ), known_tap AS (
            SELECT b.ord, b.operator, b.device, b.id, k.verdict, k.reason, k.until_at, k.charged_minor, k.currency,
                   k.conflict,
                   k.content_hash = b.hash
                       AND (k.offline_verdict IS NULL OR b.offline IS NULL OR k.offline_verdict = b.offline) AS same
            FROM booked b JOIN tap k ON k.operator = b.operator AND k.device = b.device AND k.id = b.id WHERE b.known
        ), ticket_used AS (
            UPDATE ticket t SET
                uses = t.uses + 1,
                last_used_at = greatest(t.last_used_at, b.at),
                last_place = CASE WHEN t.last_used_at > b.at THEN t.last_place ELSE b.place END,
                last_tap = CASE WHEN t.last_used_at > b.at THEN t.last_tap ELSE b.id END,
                last_lat = CASE WHEN t.last_used_at > b.at THEN t.last_lat ELSE b.at_lat END,
                last_lon = CASE WHEN t.last_used_at > b.at THEN t.last_lon ELSE b.at_lon END
            FROM booked b WHERE t.id = b.holds AND b.taken AND b.by_ticket
        ), card_touched AS (
            UPDATE card c SET
                counter = greatest(c.counter, b.counter),
                balance_minor = c.balance_minor - CASE WHEN b.taken THEN b.price ELSE 0 END,
                taps = c.taps + b.taken::integer,
                last_used_at = CASE WHEN b.taken THEN greatest(c.last_used_at, b.at) ELSE c.last_used_at END,
                last_place = CASE WHEN b.newest THEN b.place ELSE c.last_place END,
                last_tap = CASE WHEN b.taken THEN b.id ELSE c.last_tap END,
                last_lat = CASE WHEN b.newest THEN b.at_lat ELSE c.last_lat END,
                last_lon = CASE WHEN b.newest THEN b.at_lon ELSE c.last_lon END
            FROM (
                SELECT b.*, b.taken AND NOT coalesce(o.last_used_at > b.at, false) AS newest
                FROM booked b JOIN card o ON o.uid = b.card_uid
                WHERE b.counter_new AND b.preset IS NULL AND NOT b.known
            ) b WHERE c.uid = b.card_uid
        ), fare_booked AS (
            INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, tap_id, made_by)
            SELECT 'fare', 'purse:' || encode(b.card_uid, 'hex'), 'fares', b.price, p_currency, b.card_uid, b.id,
                   b.operator || ':' || b.device
            FROM booked b WHERE b.taken AND b.price > 0
        ), denied_now AS (
            INSERT INTO deny_entry (kind, medium, reason, tap_id)
            SELECT CASE WHEN b.card_uid IS NULL THEN 'ticket' ELSE 'card' END,
                   coalesce(b.card_uid, uuid_send(b.ticket_id)), 'offline_conflict', b.id
            FROM booked b WHERE b.clash AND b.verdict IN ('revoked', 'suspended', 'used_up')
        ), noticed AS (
            INSERT INTO security_event AS e (kind, operator, device, subject)
            SELECT n.kind, n.operator, n.device, n.subject FROM (
                SELECT 'id_reused' AS kind, k.operator, k.device, k.id::text AS subject FROM known_tap k WHERE NOT k.same
                UNION SELECT 'replayed', b.operator, b.device, encode(b.card_uid, 'hex') || ':' || b.counter
                FROM booked b WHERE b.verdict = 'replayed' AND b.card_uid IS NOT NULL AND NOT b.known
                UNION SELECT 'elsewhere', b.operator, b.device, coalesce(encode(b.card_uid, 'hex'), b.ticket_id::text)
                FROM booked b WHERE b.elsewhere AND NOT b.known
                UNION SELECT 'offline_conflict', b.operator, b.device, b.id::text FROM booked b WHERE b.clash
            ) n ORDER BY 1, 2, 3, 4
            ON CONFLICT (kind, operator, device, subject) DO UPDATE SET times = e.times + 1, last_at = now()
        ), stored AS (
            INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, ticket_id, card_uid,
                             card_counter, vehicle, stop_id, lat, lon, offline_verdict, rules_version, content_hash,
                             verdict, reason, until_at, charged_minor, currency, conflict, conflict_with, clock_off,
                             route_id, direction_id, riders, account, rating_due, flags, counter_used, judged_at)
            SELECT b.operator, b.device, b.id, b.boot, b.seq, to_timestamp(b.ts), to_timestamp(b.received), b.medium,
                   CASE WHEN b.taken AND NOT b.by_ticket THEN NULL ELSE coalesce(b.holds, b.ticket_id) END,
                   b.card_uid, b.counter, b.vehicle, b.stop_id, b.lat, b.lon,
                   b.offline, b.rules, b.hash, b.verdict, b.reason,
                   CASE WHEN b.taken AND NOT b.by_ticket THEN NULL ELSE b.valid_until END,
                   CASE WHEN b.taken THEN b.price END, CASE WHEN b.taken THEN p_currency END,
                   b.clash, CASE WHEN b.clash THEN b.last_tap END,
                   abs(b.ts - b.received) > 300 AND (b.offline IS NULL OR b.ts > b.received),
                   b.route_id, b.direction_id, CASE WHEN b.taken THEN b.riders ELSE 1 END,
                   'card:' || encode(b.card_uid, 'hex'),
                   -- Ridden all the same, and without the money: the rating makes it a debt.
                   coalesce((b.taken OR b.clash AND b.verdict = 'insufficient_funds') AND b.rating_due, false),
                   CASE WHEN b.elsewhere OR b.late OR b.righted
                        THEN array_remove(ARRAY[CASE WHEN b.elsewhere THEN 'elsewhere' END,
                                                CASE WHEN b.late THEN 'late' END,
                                                CASE WHEN b.righted THEN 'clock' END], NULL) END,
                   b.card_uid IS NOT NULL AND b.counter_new AND b.preset IS NULL,
                   CASE WHEN b.righted THEN b.at END
            FROM booked b WHERE NOT b.known ORDER BY b.operator, b.device, b.id
        )
        SELECT b.ord, b.verdict, b.reason,
               CASE WHEN b.taken AND NOT b.by_ticket THEN NULL ELSE extract(epoch FROM b.valid_until)::float8 END,
               CASE WHEN b.taken THEN b.price END, CASE WHEN b.taken THEN p_currency END, b.clash,
               CASE WHEN b.taken THEN b.riders ELSE 0::smallint END,
               NULL::text, NULL::text, NULL::text, NULL::bigint
        FROM booked b WHERE NOT b.known
        UNION ALL
        SELECT k.ord, CASE WHEN k.same THEN k.verdict ELSE 'malformed' END,
               CASE WHEN k.same THEN k.reason ELSE 'id_reused' END,
               CASE WHEN k.same THEN extract(epoch FROM k.until_at)::float8 END,
               CASE WHEN k.same THEN k.charged_minor END, CASE WHEN k.same THEN k.currency END, k.same AND k.conflict,
               0::smallint, NULL, NULL, NULL, NULL
        FROM known_tap k;
    END LOOP;

    RETURN QUERY
    SELECT NULL::integer, NULL::verdict, NULL::text, NULL::float8, NULL::bigint, NULL::text, NULL::boolean,
           NULL::smallint, m.*
    FROM mark_answered(p_operator, p_device, p_boot, p_answered) m;
END
$$;

CREATE OR REPLACE FUNCTION judge_bank_taps(
    p_taps bank_tap_given[], p_fare bigint, p_passback interval, p_unpaid_max bigint, p_hour_max integer,
    p_unverified_max integer, p_kmh float8
) RETURNS TABLE (
    ord integer, verdict verdict, reason text, until_s float8, charged_minor bigint, currency text, conflict boolean,
    riders smallint
) LANGUAGE plpgsql
-- As for city cards: a plan made while the tables were small would be kept while they grow.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    g bank_tap_given;
    k tap;
    m bank_medium;
    a bank_account;
    says record;
    v_verdict verdict;
    v_conflict boolean;
    v_elsewhere boolean;
    v_righted boolean;
BEGIN
    PERFORM know_bank_media(p_taps);
    PERFORM FROM bank_medium b WHERE b.key = ANY (ARRAY(SELECT t.key FROM unnest(p_taps) t)) ORDER BY b.key FOR NO KEY UPDATE;
    PERFORM FROM bank_account b WHERE b.id IN (
        SELECT n.account_id FROM bank_medium n WHERE n.key = ANY (ARRAY(SELECT t.key FROM unnest(p_taps) t))
    ) ORDER BY b.id FOR NO KEY UPDATE;
    FOREACH g IN ARRAY p_taps LOOP
        SELECT * INTO k FROM tap t WHERE t.operator = g.operator AND t.device = g.device AND t.id = g.id;
        IF k.id IS NOT NULL THEN
            IF k.content_hash = g.hash AND (k.offline_verdict IS NULL OR g.offline IS NULL OR k.offline_verdict = g.offline) THEN
                RETURN QUERY SELECT g.ord, k.verdict, k.reason, extract(epoch FROM k.until_at)::float8, k.charged_minor,
                                    k.currency, k.conflict, k.riders;
            ELSE
                INSERT INTO security_event AS e (kind, operator, device, subject)
                VALUES ('id_reused', g.operator, g.device, g.id::text)
                ON CONFLICT (kind, operator, device, subject) DO UPDATE SET times = e.times + 1, last_at = now();
                RETURN QUERY SELECT g.ord, 'malformed'::verdict, 'id_reused', NULL::float8, NULL::bigint, NULL::text,
                                    false, 1::smallint;
            END IF;
            CONTINUE;
        END IF;
        SELECT * INTO m FROM bank_medium b WHERE b.key = g.key;
        SELECT * INTO a FROM bank_account b WHERE b.id = m.account_id;
        SELECT * INTO says FROM against_bank_tap(g, m, a, p_fare, p_passback, p_unpaid_max, p_hour_max, p_unverified_max);
        v_verdict := CASE WHEN g.offline <> 'accepted' THEN g.offline::verdict
                          WHEN g.offline = 'accepted' THEN 'accepted' ELSE coalesce(says.verdict, 'accepted') END;
        v_conflict := coalesce(g.offline = 'accepted' AND says.verdict IS NOT NULL, false);
        v_elsewhere := coalesce(too_far(g.lat::real, g.lon::real, to_timestamp(g.at_s), m.last_lat, m.last_lon,
                                        m.last_used_at, p_kmh), false);
        v_righted := g.offline IS NOT NULL AND g.at_s <> told_at_s(g.ts, g.received);
        INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, vehicle, stop_id, lat, lon,
                         offline_verdict, rules_version, content_hash, verdict, reason, conflict, conflict_with, clock_off,
                         route_id, direction_id, account, rating_due, flags, judged_at)
        VALUES (g.operator, g.device, g.id, g.boot, g.seq, to_timestamp(g.ts), to_timestamp(g.received), 'bank', g.vehicle,
                g.stop_id, g.lat, g.lon, g.offline, g.rules, g.hash, v_verdict,
                CASE WHEN v_conflict OR v_verdict = says.verdict THEN says.reason END,
                v_conflict, CASE WHEN v_conflict THEN m.last_tap END,
                abs(g.ts - g.received) > 300 AND (g.offline IS NULL OR g.ts > g.received), g.route_id, g.direction_id,
                'bank:' || a.id, v_verdict = 'accepted',
                CASE WHEN v_elsewhere OR v_righted
                     THEN array_remove(ARRAY[CASE WHEN v_elsewhere THEN 'elsewhere' END,
                                             CASE WHEN v_righted THEN 'clock' END], NULL) END,
                CASE WHEN v_righted THEN to_timestamp(g.at_s) END);
        IF v_conflict THEN
            INSERT INTO security_event AS e (kind, operator, device, subject)
            VALUES ('offline_conflict', g.operator, g.device, g.id::text)
            ON CONFLICT (kind, operator, device, subject) DO UPDATE SET times = e.times + 1, last_at = now();
        END IF;
        IF v_elsewhere THEN
            -- By the account's name, not the token's: what is noted is read by people.
            INSERT INTO security_event AS e (kind, operator, device, subject)
            VALUES ('elsewhere', g.operator, g.device, 'bank:' || a.id)
            ON CONFLICT (kind, operator, device, subject) DO UPDATE SET times = e.times + 1, last_at = now();
        END IF;
        IF v_verdict = 'accepted' THEN
            PERFORM use_bank_medium(g, m, p_fare);
        ELSIF a.blocked IS NOT NULL AND g.offline IS NULL THEN
            -- Who taps wants to ride: an hour after the last time, the debt is asked for again.
            UPDATE bank_account b SET recover_at = least(
                b.recover_at, greatest(to_timestamp(g.received), b.recovered_at + interval '1 hour'))
            WHERE b.id = a.id;
        END IF;
        RETURN QUERY SELECT g.ord, v_verdict, CASE WHEN v_conflict OR v_verdict = says.verdict THEN says.reason END,
                            NULL::float8, NULL::bigint, NULL::text, v_conflict, 1::smallint;
    END LOOP;
END
$$;
