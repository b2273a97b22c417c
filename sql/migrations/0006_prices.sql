-- What a tap costs may depend on the taps before it: each tap says where it was made, for how many riders and on whose
-- account, and whether its price has still to be rated with the whole day.

ALTER TABLE tap
    ADD COLUMN route_id text,
    ADD COLUMN direction_id smallint,
    ADD COLUMN riders smallint NOT NULL DEFAULT 1,
    ADD COLUMN account text,                            -- card:<uid hex> or bank:<id>; null for a QR code, and once cut
    ADD COLUMN rating_due boolean NOT NULL DEFAULT false,
    ADD COLUMN flags text[],                            -- what somebody should look at, such as elsewhere
    ADD COLUMN counter_used boolean NOT NULL DEFAULT false;  -- this tap has spent the card's counter
UPDATE tap SET account = 'card:' || encode(card_uid, 'hex') WHERE card_uid IS NOT NULL;
CREATE INDEX tap_rating_due ON tap (account, taken_at) WHERE rating_due;

-- A card's counter is good for one tap, wherever and whenever it comes from: a table of its own for that was one more
-- row for every tap. What stays there are counters that were spent otherwise: read by a controller.
UPDATE tap t SET counter_used = true
FROM card_use u WHERE u.card_uid = t.card_uid AND u.counter = t.card_counter AND u.tap_id = t.id;
DELETE FROM card_use u USING tap t WHERE u.card_uid = t.card_uid AND u.counter = t.card_counter AND t.counter_used;
CREATE UNIQUE INDEX tap_card_counter ON tap (card_uid, card_counter) WHERE counter_used;

-- An account's taps are found by its card or, for bank cards, by its name: an index for all would cost every card tap.
CREATE INDEX tap_bank_account ON tap (account, taken_at) WHERE card_uid IS NULL AND account IS NOT NULL;

-- How many taps of the card have been booked: a price that was worked out from so many is stale when there is one more.
ALTER TABLE card ADD COLUMN taps integer NOT NULL DEFAULT 0;
UPDATE card c SET taps = (SELECT count(*) FROM tap t WHERE t.card_uid = c.uid AND t.verdict = 'accepted');

-- A group travels on one medium: one use of its ticket carries so many riders.
ALTER TABLE ticket ADD COLUMN riders smallint NOT NULL DEFAULT 1 CHECK (riders > 0);

-- Where a medium was used last, in degrees: nobody is at two far places within minutes.
ALTER TABLE card ADD COLUMN last_lat real, ADD COLUMN last_lon real;
ALTER TABLE ticket ADD COLUMN last_lat real, ADD COLUMN last_lon real;

-- Entries of these two indexes were made for every fare: for a null, and for what the tap says as well.
ALTER TABLE transfer DROP CONSTRAINT transfer_reverses_key;
CREATE UNIQUE INDEX transfer_reverses ON transfer (reverses) WHERE reverses IS NOT NULL;
DROP INDEX transfer_card_uid;
CREATE INDEX transfer_card_uid ON transfer (card_uid) WHERE card_uid IS NOT NULL AND kind <> 'fare';

-- The taps of an account, card:<uid hex> or bank:<id>, that were taken in [p_from, p_until), in the order of their times.
-- Of a card those that spent its counter, which all accepted ones did.
CREATE FUNCTION account_taps(p_account text, p_from timestamptz, p_until timestamptz) RETURNS SETOF tap
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_account LIKE 'card:%' THEN
        RETURN QUERY SELECT * FROM tap WHERE card_uid = decode(substr(p_account, 6), 'hex') AND counter_used
            AND taken_at >= p_from AND taken_at < p_until ORDER BY taken_at, id;
    ELSE
        RETURN QUERY SELECT * FROM tap WHERE account = p_account AND card_uid IS NULL
            AND taken_at >= p_from AND taken_at < p_until ORDER BY taken_at, id;
    END IF;
END
$$;

DROP FUNCTION judge_taps;
DROP TYPE tap_given;

-- A tap as the judge is given it. round numbers the taps of one medium within the batch, so that each round has every
-- medium once and sees what the rounds before it booked; most batches have one. preset is what was found out without the
-- database (the credential's own faults), null where there is nothing against it. at_s is the instant that counts: ours
-- while online, the device's for what was decided offline. networks is an array literal. quote_minor, where there is one,
-- is what the purse pays while the card has taps_seen booked taps (null: whatever it has), for a ride that is taken from
-- the card's ticket quote_ticket (null: from none). lat and lon are what the device said, at_lat and at_lon where the tap
-- was made as far as that is known and possible.
CREATE TYPE tap_given AS (
    ord integer, round integer, operator text, device text, id uuid, boot text, seq bigint, ts float8, received float8,
    at_s float8, medium text, preset verdict, reason text, ticket_id uuid, card_uid bytea, counter integer,
    key_version integer, vehicle text, stop_id text, lat float8, lon float8, offline text, rules integer, hash bytea,
    networks text, quote_minor bigint, taps_seen integer, quote_ticket uuid, rating_due boolean, route_id text,
    direction_id smallint, at_lat real, at_lon real
);

-- Whether a medium cannot have come from its last place to this one: more than 2 km, and faster than p_kmh.
CREATE FUNCTION too_far(
    lat real, lon real, at timestamptz, last_lat real, last_lon real, last_at timestamptz, p_kmh float8
) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN
    111.195 * sqrt(power(lat - last_lat, 2) + power((lon - last_lon) * cosd((lat + last_lat) / 2.0), 2))
        > greatest(2.0, p_kmh * abs(extract(epoch FROM at - last_at)::float8) / 3600.0);

-- One round trip judges a batch of taps: lock the media, judge with a fresh snapshot, book, answer. The cumulative
-- receipts come last, one row of ord null for each boot: so validators' rows are locked but for a moment. A tap whose
-- quote is stale is given back with no verdict: nothing was decided, and its number is not answered. riders is how many
-- boarded by this tap: 0 where it was refused, and where it was answered before.
CREATE FUNCTION judge_taps(
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
                           ) AND (g.offline IS NOT NULL OR g.counter > c.counter) AS counter_new,
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
                        SELECT t.*, t.operator || '/' || coalesce(t.vehicle, t.device) AS place
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
                             route_id, direction_id, riders, account, rating_due, flags, counter_used)
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
                   CASE WHEN b.elsewhere THEN ARRAY['elsewhere'] END,
                   b.card_uid IS NOT NULL AND b.counter_new AND b.preset IS NULL
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
