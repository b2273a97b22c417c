-- The database as it is after all migrations, for reading. It is not run by the product: migrations/ is. A test makes
-- one database each way and compares their catalogs.

-- Tickets, cards, taps, the ledger and what stands around them.

-- In the order of precedence: of the verdicts that apply, least() is the one that wins (contract, section 3).
CREATE TYPE verdict AS ENUM (
    'malformed', 'unknown_key', 'bad_signature', 'stale_proof', 'replayed', 'unknown', 'not_yet_valid', 'expired',
    'revoked', 'suspended', 'denied', 'wrong_service', 'used_up', 'passback', 'insufficient_funds', 'accepted'
);

-- A city card. balance_minor is the purse: the card's row is locked by its own taps alone, so it is no hot row, and it
-- equals the sum of the purse's transfers (each changes in the same statement as its transfer; a test and the doctor compare).
CREATE TABLE card (
    uid bytea PRIMARY KEY CHECK (length(uid) = 7),
    key_version integer NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'revoked')),
    counter integer NOT NULL DEFAULT -1,                -- the highest read counter seen: online it must rise
    balance_minor bigint NOT NULL DEFAULT 0 CHECK (balance_minor >= 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    last_used_at timestamptz,
    last_place text,                                    -- operator/vehicle
    last_tap uuid,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    taps integer NOT NULL DEFAULT 0,                    -- booked: a price worked out from so many is stale with one more
    last_lat real,
    last_lon real,
    -- What rides cost that the purse could not pay any more, since they were told of late; equals its transfers as well.
    debt_minor bigint NOT NULL DEFAULT 0 CHECK (debt_minor >= 0),
    category text                                       -- the holder's now, by its id in the tariff (card_category: before)
) WITH (fillfactor = 70);

-- A ticket holds what was promised when it was sold: a later tariff changes nothing about it.
CREATE TABLE ticket (
    id uuid PRIMARY KEY,
    product_id text NOT NULL,
    card_uid bytea REFERENCES card (uid),               -- null: shown as QR code
    status text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'suspended', 'revoked')),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,                   -- half-open: no longer valid at this instant
    uses_allowed integer CHECK (uses_allowed > 0),      -- null: a pass
    uses integer NOT NULL DEFAULT 0,
    networks text[] NOT NULL,
    passback interval NOT NULL,
    status_list integer NOT NULL,
    status_index integer NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    device_key jsonb,
    sold_by text NOT NULL,
    sold_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    last_place text,
    last_tap uuid,
    reason text,                                        -- of the last revoke, suspend, resume or refund
    riders smallint NOT NULL DEFAULT 1 CHECK (riders > 0),  -- a group travels on one medium: one use carries so many
    last_lat real,
    last_lon real,
    status_at timestamptz,                              -- since when it is as it is; revoked: since when it was not valid
    uses_kept integer,                                  -- once its price was given back: the rides that it had brought
    carried_from uuid REFERENCES ticket (id),           -- of a card that this one's took the place of: the rest of that one
    CHECK (valid_from < valid_until),
    CHECK (uses <= uses_allowed),
    UNIQUE (status_list, status_index)
) WITH (fillfactor = 70);
CREATE INDEX ticket_card_uid ON ticket (card_uid) WHERE card_uid IS NOT NULL;
CREATE UNIQUE INDEX ticket_carried_from ON ticket (carried_from) WHERE carried_from IS NOT NULL;

-- What a card's holder was before: category until an instant (half-open); card.category is what counts after all of them.
CREATE TABLE card_category (
    card_uid bytea NOT NULL REFERENCES card (uid),
    until_at timestamptz NOT NULL,
    category text,
    PRIMARY KEY (card_uid, until_at)
);

-- A lost or worn card and the one that took its place.
CREATE TABLE card_replacement (
    old_uid bytea PRIMARY KEY REFERENCES card (uid),
    new_uid bytea NOT NULL UNIQUE REFERENCES card (uid),
    at timestamptz NOT NULL DEFAULT now()
);

-- Half of a list's indices are given out, at random, before the next list is begun.
CREATE SEQUENCE status_slot;

CREATE TABLE tap (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    boot text NOT NULL,
    seq bigint NOT NULL,
    taken_at timestamptz NOT NULL,                      -- by the device's clock
    received_at timestamptz NOT NULL,                   -- by ours
    medium text NOT NULL,
    ticket_id uuid,
    card_uid bytea,
    card_counter integer,
    vehicle text,
    stop_id text,
    lat double precision,
    lon double precision,
    offline_verdict text,
    rules_version integer,
    content_hash bytea NOT NULL,
    verdict verdict NOT NULL,
    reason text,
    until_at timestamptz,
    charged_minor bigint,
    currency text,
    conflict boolean NOT NULL DEFAULT false,            -- accepted offline, and we would have refused
    conflict_with uuid,                                 -- the earlier tap that it conflicts with
    clock_off boolean NOT NULL DEFAULT false,           -- the device's clock was far from ours
    route_id text,
    direction_id smallint,
    riders smallint NOT NULL DEFAULT 1,
    account text,                                       -- card:<uid hex> or bank:<id>; null for a QR code, and once cut
    rating_due boolean NOT NULL DEFAULT false,          -- its price has still to be rated with the whole day
    flags text[],                                       -- what somebody should look at: elsewhere, late
    counter_used boolean NOT NULL DEFAULT false,        -- this tap has spent the card's counter
    judged_at timestamptz,                              -- when it was made, where its device's clock is known to be wrong
    PRIMARY KEY (operator, device, id)
);
CREATE INDEX tap_received_at ON tap USING brin (received_at);
CREATE INDEX tap_rating_due ON tap (account, taken_at) WHERE rating_due;
-- A card's counter is good for one tap, wherever and whenever it comes from.
CREATE UNIQUE INDEX tap_card_counter ON tap (card_uid, card_counter) WHERE counter_used;
-- An account's taps are found by its card or, for bank cards, by its name: an index for all would cost every card tap.
CREATE INDEX tap_bank_account ON tap (account, taken_at) WHERE card_uid IS NULL AND account IS NOT NULL;

-- What somebody has to look at is found by its time: of all taps a few.
CREATE INDEX tap_to_look_at ON tap (received_at) WHERE conflict OR flags IS NOT NULL;

-- When a tap was made, as the judge takes it: by our clock while online and not late, else by the device's own unless
-- that cannot be true, or is known to be wrong.
CREATE FUNCTION tap_at(t tap) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN CASE
        WHEN t.judged_at IS NOT NULL THEN t.judged_at
        WHEN (t.offline_verdict IS NOT NULL OR 'late' = ANY (t.flags))
             AND t.taken_at BETWEEN t.received_at - interval '30 days' AND t.received_at + interval '300 seconds'
            THEN least(t.taken_at, t.received_at)
        ELSE t.received_at
    END;

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

-- Counters that were spent otherwise: a controller has read the card.
CREATE TABLE card_use (
    card_uid bytea NOT NULL,
    counter integer NOT NULL,
    tap_id uuid NOT NULL,
    PRIMARY KEY (card_uid, counter)
);

-- Which numbers of a validator's boot have been answered; through is what its cumulative receipt says.
CREATE TABLE validator_progress (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    boot text COLLATE "C" NOT NULL,
    answered int8multirange NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operator, device, boot)
) WITH (fillfactor = 70);

-- By how much a device's clock is behind ours (below 0: ahead; 0: it is right), from what it sent online in one boot.
CREATE TABLE validator_clock (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    boot text COLLATE "C" NOT NULL,
    behind_s float8 NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operator, device, boot)
);

-- Double entry, append only. Accounts: cash, sales, fares, purse:<uid>; their balances are sums, never stored.
CREATE TABLE transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL CHECK (kind IN (
        'sale', 'refund', 'top_up', 'fare', 'difference', 'reversal', 'debt', 'penalty', 'penalty_payment', 'charge')),
    debit text NOT NULL,
    credit text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    ticket_id uuid,
    card_uid bytea,
    tap_id uuid,
    reverses bigint,
    made_by text NOT NULL,
    shift_id bigint,                                    -- no foreign key: fares are many and have no shift
    rated text COLLATE "C",                             -- account/day/version/number of what a rating posted
    payment_key text,                                   -- of what the acquirer answered
    CHECK (debit <> credit)
);
-- A payment's outcome is booked once: the ledger itself refuses a second line for its key.
CREATE UNIQUE INDEX transfer_payment_key ON transfer (payment_key) WHERE payment_key IS NOT NULL;
CREATE UNIQUE INDEX transfer_rated ON transfer (rated) WHERE rated IS NOT NULL;
CREATE INDEX transfer_ticket_id ON transfer (ticket_id) WHERE ticket_id IS NOT NULL;
CREATE INDEX transfer_shift_id ON transfer (shift_id) WHERE shift_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_reverses ON transfer (reverses) WHERE reverses IS NOT NULL;
-- A card's fares are found by its taps.
CREATE INDEX transfer_card_uid ON transfer (card_uid) WHERE card_uid IS NOT NULL AND kind <> 'fare';

-- A tariff as it was when it came into use: a day that it rated is rated again by the same one.
CREATE TABLE tariff_edition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL,                           -- as the file says
    digest bytea NOT NULL UNIQUE,
    file text NOT NULL,
    content text NOT NULL,
    feed bytea,                                         -- the feed's fare files, packed; null where it has none
    used_from timestamptz NOT NULL DEFAULT now()
);

-- rating has a line for each tap with its reasons, and what the next day needs; taps are those that it was made from.
CREATE TABLE day_rating (
    account text COLLATE "C" NOT NULL,                  -- card:<uid hex> or bank:<id>
    service_date date NOT NULL,
    version integer NOT NULL,                           -- rises each time that the day is rated again
    tariff_id integer NOT NULL REFERENCES tariff_edition (id),
    total_minor bigint NOT NULL,
    rating jsonb NOT NULL,
    taps jsonb NOT NULL,
    receipt_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),  -- whoever has it may read the receipt
    rated_at timestamptz NOT NULL DEFAULT now(),
    again_at timestamptz,                               -- somebody is still inside: without an exit by then it costs more
    PRIMARY KEY (account, service_date)
);
CREATE INDEX day_rating_again_at ON day_rating (again_at) WHERE again_at IS NOT NULL;

-- What the card whose place this one took handed on (caps' periods, transfers that may still run): of its last rated day,
-- or of the card before it; null where there is none.
CREATE FUNCTION handed_on(p_uid bytea) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_uid bytea := p_uid;
    v_found jsonb;
BEGIN
    LOOP
        SELECT r.old_uid INTO v_uid FROM card_replacement r WHERE r.new_uid = v_uid;
        EXIT WHEN NOT FOUND;
        SELECT d.rating -> 'carried' INTO v_found FROM day_rating d
        WHERE d.account = 'card:' || encode(v_uid, 'hex') ORDER BY d.service_date DESC LIMIT 1;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN v_found;
END
$$;

-- Media refused everywhere, by rising number, so that validators fetch what is new. removed: allowed again.
CREATE TABLE deny_entry (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('ticket', 'card', 'bank')),
    medium bytea NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    tap_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deny_entry_medium ON deny_entry (medium, seq);

-- What somebody tried. The same attempt again only counts: a flood of it stays one row.
CREATE TABLE security_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    operator text NOT NULL,
    device text NOT NULL,
    subject text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    times bigint NOT NULL DEFAULT 1,
    UNIQUE (kind, operator, device, subject)
);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator text NOT NULL,
    device text NOT NULL,
    topic text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX dead_letter_device ON dead_letter (operator, device, received_at);

-- How many dead letters a device has had on a day (UTC): beyond its quota they are counted and not kept.
CREATE TABLE dead_letter_count (
    operator text NOT NULL,
    device text NOT NULL,
    day date NOT NULL,
    kept bigint NOT NULL,
    dropped bigint NOT NULL,
    PRIMARY KEY (operator, device, day)
);

-- Who did what, each row chained to the one before it.
CREATE TABLE audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    subject text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL
);

-- The answer to a request that sells or charges, under the key that its client gave it.
CREATE TABLE idempotency (
    subject text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);
CREATE INDEX idempotency_at ON idempotency USING brin (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only: write a reversal, never change what was', tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The hash of an audit row: over the hash before it and everything that the row says.
CREATE FUNCTION audit_hash(a audit) RETURNS bytea LANGUAGE sql STABLE RETURN
    sha256(a.prev_hash || convert_to(jsonb_build_array(
        a.seq, extract(epoch FROM a.at)::text, a.subject, a.action, a.object, a.details)::text, 'UTF8'));

-- Rows are numbered and chained one after the other, in the order in which they are committed: the lock is held until
-- then. The number that the column would have given is taken back.
CREATE FUNCTION chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last audit;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('takt audit', 0));
    SELECT * INTO last FROM audit ORDER BY seq DESC LIMIT 1;
    new.seq := coalesce(last.seq, 0) + 1;
    new.prev_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    new.hash := audit_hash(new);
    RETURN new;
END
$$;
CREATE TRIGGER audit_chained BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION chain_audit();

-- Whoever asks for what came after a number must not miss a row that was numbered before it and committed after it.
CREATE FUNCTION number_deny_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('takt deny list', 0));
    new.seq := coalesce((SELECT max(seq) FROM deny_entry), 0) + 1;
    RETURN new;
END
$$;
CREATE TRIGGER deny_entry_numbered BEFORE INSERT ON deny_entry FOR EACH ROW EXECUTE FUNCTION number_deny_entry();

-- A cashier's shift: the cash in the drawer at its start, what the ledger says that there must be, and what was counted.
CREATE TABLE shift (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    float_minor bigint NOT NULL CHECK (float_minor >= 0),
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    expected_minor bigint,
    counted_minor bigint CHECK (counted_minor >= 0),
    CHECK ((closed_at IS NULL) = (expected_minor IS NULL) AND (closed_at IS NULL) = (counted_minor IS NULL))
);
CREATE UNIQUE INDEX shift_open ON shift (subject) WHERE closed_at IS NULL;

-- One round trip judges a batch of taps: lock the media, judge with a fresh snapshot, book, answer.

-- What a ticket says to a use at an instant; networks are those of the vehicle, place is operator/vehicle.
CREATE FUNCTION judge_ticket(t ticket, at timestamptz, networks text[], place text) RETURNS verdict
    LANGUAGE sql STABLE RETURN CASE
        WHEN at < t.valid_from THEN 'not_yet_valid'::verdict
        WHEN at >= t.valid_until THEN 'expired'::verdict
        WHEN t.status = 'revoked' THEN 'revoked'::verdict
        WHEN t.status = 'suspended' THEN 'suspended'::verdict
        WHEN NOT t.networks && networks THEN 'wrong_service'::verdict
        WHEN t.uses >= t.uses_allowed THEN 'used_up'::verdict
        WHEN t.last_place = place AND at >= t.last_used_at AND at < t.last_used_at + t.passback THEN 'passback'::verdict
        ELSE 'accepted'::verdict
    END;

-- Whether a medium is on the deny list: its newest entry says.
CREATE FUNCTION denied(medium_kind text, medium_key bytea) RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce((SELECT NOT d.removed FROM deny_entry d
                     WHERE d.medium = medium_key AND d.kind = medium_kind ORDER BY d.seq DESC LIMIT 1), false);

-- Adds numbers of boots to those answered and says up to where each has no gap from its first number, 0 or 1 (null:
-- nowhere yet). A boot with 200 gaps gets no further ones: its taps are receipted one by one all the same.
CREATE FUNCTION mark_answered(p_operator text[], p_device text[], p_boot text[], p_answered text[])
RETURNS TABLE (operator text, device text, boot text, through bigint) LANGUAGE sql AS $$
    INSERT INTO validator_progress AS v (operator, device, boot, answered)
    SELECT n.operator, n.device, n.boot, n.answered::int8multirange
    FROM unnest(p_operator, p_device, p_boot, p_answered) AS n (operator, device, boot, answered)
    ORDER BY 1, 2, 3
    ON CONFLICT (operator, device, boot) DO UPDATE SET
        updated_at = now(),
        answered = CASE WHEN (SELECT count(*) FROM unnest(v.answered)) < 200 OR v.answered @> lower(excluded.answered) - 1
                        THEN v.answered + excluded.answered ELSE v.answered END
    RETURNING v.operator, v.device, v.boot,
        (SELECT upper(r) - 1 FROM unnest(v.answered) r WHERE lower(r) <= 1 ORDER BY lower(r) LIMIT 1)
$$;

-- A tap as the judge is given it. round numbers the taps of one medium within the batch, so that each round has every
-- medium once and sees what the rounds before it booked; most batches have one. preset is what was found out without the
-- database (the credential's own faults), null where there is nothing against it. at_s is the instant that counts: ours
-- while online, the device's for what was decided offline and for a card's tap that reached us late. networks is an array
-- literal. quote_minor, where there is one, is what the purse pays while the card has taps_seen booked taps (null: whatever
-- it has), for a ride that is taken from the card's ticket quote_ticket (null: from none). lat and lon are what the device
-- said, at_lat and at_lon where the tap was made as far as that is known and possible.
CREATE TYPE tap_given AS (
    ord integer, round integer, operator text, device text, id uuid, boot text, seq bigint, ts float8, received float8,
    at_s float8, medium text, preset verdict, reason text, ticket_id uuid, card_uid bytea, counter integer,
    key_version integer, vehicle text, stop_id text, lat float8, lon float8, offline text, rules integer, hash bytea,
    networks text, quote_minor bigint, taps_seen integer, quote_ticket uuid, rating_due boolean, route_id text,
    direction_id smallint, at_lat real, at_lon real
);

-- When a tap that is told rather than asked was made, by its device's clock unless that cannot be true (Unix seconds).
CREATE FUNCTION told_at_s(ts float8, received float8) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN
    CASE WHEN ts BETWEEN received - 2592000 AND received + 300 THEN least(ts, received) ELSE received END;

-- Whether a medium cannot have come from its last place to this one: more than 2 km, and faster than p_kmh.
CREATE FUNCTION too_far(
    lat real, lon real, at timestamptz, last_lat real, last_lon real, last_at timestamptz, p_kmh float8
) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN
    111.195 * sqrt(power(lat - last_lat, 2) + power((lon - last_lon) * cosd((lat + last_lat) / 2.0), 2))
        > greatest(2.0, p_kmh * abs(extract(epoch FROM at - last_at)::float8) / 3600.0);

-- One round trip judges a batch of taps: lock the media, judge with a fresh snapshot, book, answer. The cumulative
-- receipts come last, one row of ord null for each boot: so validators' rows are locked but for a moment. A tap whose
-- quote is stale is given back with no verdict: nothing was decided, and its number is not answered. riders is how many
-- boarded by this tap: 0 where it was refused, and where it was answered before. Of a card's fresh tap the counter must
-- rise; of one that is history (decided offline, or judged at an instant before its arrival) it must be unspent.
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

-- Notices: what dispatchers tell passengers. Each change is a row of its own, with who and when.
CREATE TABLE notice (
    id text NOT NULL,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    by_whom text NOT NULL,
    what text NOT NULL CHECK (what IN ('created', 'closed')),
    notice jsonb NOT NULL,
    until_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (id, version)
);
CREATE TRIGGER notice_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notice
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Settlements: what a business day came to, by operator, product and route, made anew from taps and transfers at any time.

-- A version is written when the day is settled first, and again only when it has come out otherwise: a booking that was
-- under way at midnight, say. The hash is over the document, which says nothing of when it was made.
CREATE TABLE settlement (
    day date NOT NULL,
    version integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    made_by text NOT NULL,
    hash bytea NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (day, version)
);
CREATE TRIGGER settlement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Transfers come in the order of their times: finding a day's needs no more than this.
CREATE INDEX transfer_at ON transfer USING brin (at);

-- Privacy: trips are kept for the rider for a time, then their link is cut: what stays are counts.

-- How many taps there were, once the taps themselves have been forgotten. '' where a column was null.
CREATE TABLE tap_count (
    received_day date NOT NULL,                         -- UTC
    hour smallint NOT NULL,
    operator text COLLATE "C" NOT NULL,
    route_id text COLLATE "C" NOT NULL,
    stop_id text COLLATE "C" NOT NULL,
    medium text NOT NULL,
    product_id text NOT NULL,
    verdict verdict NOT NULL,
    taps bigint NOT NULL,
    riders bigint NOT NULL,
    conflicts bigint NOT NULL,
    PRIMARY KEY (received_day, hour, operator, route_id, stop_id, medium, product_id, verdict)
);

-- Whose trips are to be forgotten before their time; done_at once the last of them has been.
CREATE TABLE erasure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text COLLATE "C" NOT NULL,                  -- card:<uid hex> or bank:<id>; emptied when it is done
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_by text NOT NULL,
    done_at timestamptz
);
CREATE UNIQUE INDEX erasure_open ON erasure (account) WHERE done_at IS NULL;

-- Forgets taps that were received before p_before: of one account, or (null) of all, at most p_most of them; how many
-- there were. A card's counters stay spent, without a word of where.
CREATE FUNCTION forget_taps(p_account text, p_before timestamptz, p_most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_uid bytea := CASE WHEN p_account LIKE 'card:%' THEN decode(substr(p_account, 6), 'hex') END;
    v_gone bigint;
BEGIN
    WITH old AS (
        SELECT t.ctid FROM tap t
        WHERE t.received_at < p_before AND NOT t.rating_due
          AND CASE WHEN p_account IS NULL THEN true
                   WHEN v_uid IS NOT NULL THEN t.card_uid = v_uid
                   ELSE t.account = p_account END
        LIMIT p_most
    ), gone AS (
        DELETE FROM tap t USING old WHERE t.ctid = old.ctid RETURNING t.*
    ), spent AS (
        INSERT INTO card_use (card_uid, counter, tap_id)
        SELECT g.card_uid, g.card_counter, gen_random_uuid() FROM gone g WHERE g.counter_used ORDER BY 1, 2
        ON CONFLICT DO NOTHING
    ), counted AS (
        INSERT INTO tap_count AS c (received_day, hour, operator, route_id, stop_id, medium, product_id, verdict,
                                    taps, riders, conflicts)
        SELECT (g.received_at AT TIME ZONE 'UTC')::date, extract(hour FROM g.received_at AT TIME ZONE 'UTC'), g.operator,
               coalesce(g.route_id, ''), coalesce(g.stop_id, ''), g.medium, coalesce(q.product_id, ''), g.verdict,
               count(*), sum(g.riders), count(*) FILTER (WHERE g.conflict)
        FROM gone g LEFT JOIN ticket q ON q.id = g.ticket_id
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
        ON CONFLICT (received_day, hour, operator, route_id, stop_id, medium, product_id, verdict) DO UPDATE SET
            taps = c.taps + excluded.taps, riders = c.riders + excluded.riders, conflicts = c.conflicts + excluded.conflicts
    )
    SELECT count(*) INTO v_gone FROM gone;
    RETURN v_gone;
END
$$;

-- Penalties: issued by a controller, paid there or at a desk, or taken back; what is owed stands in the ledger.
CREATE TABLE penalty (
    id uuid PRIMARY KEY,
    reference text NOT NULL UNIQUE,                     -- what stands on the paper: eight letters
    issued_at timestamptz NOT NULL,
    issued_by text NOT NULL,
    operator text NOT NULL,
    vehicle text,
    route_id text,
    reason text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'cancelled')),
    closed_at timestamptz,
    closed_by text,
    note text,
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE INDEX penalty_open ON penalty (issued_at) WHERE state = 'open';

-- History: what dispatch saw and decided, one partition a service day, so that old days go by dropping a table.

-- service_date is the day of the timetable as the wall clock counts it: the feed's own date, in a demo that moves its
-- timetable the day to which it was moved. Times after midnight stay with the day on which their trip began.

-- One vehicle at one stop. start_date is the trip's date in the feed, zero_at when its own stop times count zero.
CREATE TABLE passage (
    service_date date NOT NULL,
    trip_id text COLLATE "C" NOT NULL,
    zero_at timestamptz NOT NULL,
    vehicle text COLLATE "C" NOT NULL,                  -- operator/vehicle
    stop_sequence integer NOT NULL,
    start_date date NOT NULL,
    route_id text COLLATE "C" NOT NULL,
    direction_id smallint NOT NULL,
    stop_id text COLLATE "C" NOT NULL,
    visit smallint NOT NULL,                            -- how often the pattern was at this stop before: 0 but on loops
    arrival_at timestamptz,
    departure_at timestamptz,                           -- null where the trip ends
    due_at timestamptz NOT NULL,                        -- scheduled departure
    frequent_s real,                                    -- scheduled headway of trips that are run by frequency
    is_peak boolean NOT NULL,
    PRIMARY KEY (service_date, trip_id, zero_at, vehicle, stop_sequence)
) PARTITION BY RANGE (service_date);
CREATE INDEX passage_departures ON passage (route_id, direction_id, stop_id, visit, departure_at);

-- What COPY brings, before it is merged into passage and headway; empty between two transactions. Unix seconds.
CREATE UNLOGGED TABLE passage_incoming (
    service_date date NOT NULL,
    trip_id text COLLATE "C" NOT NULL,
    zero_s double precision NOT NULL,
    vehicle text COLLATE "C" NOT NULL,
    stop_sequence integer NOT NULL,
    start_date date NOT NULL,
    route_id text COLLATE "C" NOT NULL,
    direction_id smallint NOT NULL,
    stop_id text COLLATE "C" NOT NULL,
    visit smallint NOT NULL,
    arrival_s double precision,
    departure_s double precision,
    due_s double precision NOT NULL,
    frequent_s real,
    is_peak boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Time between consecutive departures of one route and direction at one stop; the row is the follower's.
CREATE TABLE headway (
    service_date date NOT NULL,
    trip_id text COLLATE "C" NOT NULL,
    zero_at timestamptz NOT NULL,
    vehicle text COLLATE "C" NOT NULL,
    stop_sequence integer NOT NULL,
    route_id text COLLATE "C" NOT NULL,
    direction_id smallint NOT NULL,
    stop_id text COLLATE "C" NOT NULL,
    visit smallint NOT NULL,
    at timestamptz NOT NULL,                            -- departure of the follower
    leader text COLLATE "C" NOT NULL,
    headway_s real NOT NULL,
    scheduled_s real NOT NULL,                          -- of the same two trips
    is_peak boolean NOT NULL,
    PRIMARY KEY (service_date, trip_id, zero_at, vehicle, stop_sequence)
) PARTITION BY RANGE (service_date);
CREATE INDEX headway_at ON headway (route_id, at);

-- An alert as it was last seen; service_date is the day on which it opened.
CREATE TABLE alert_history (
    service_date date NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    vehicle_id text NOT NULL,
    route_id text,
    direction_id smallint,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    acknowledged_by text,
    acknowledged_at timestamptz,
    detail jsonb NOT NULL,                              -- all of the alert, as readers of the API get it
    PRIMARY KEY (service_date, id)
) PARTITION BY RANGE (service_date);

-- What was decided, by whom or by which rule, and what was known at the time.
CREATE TABLE decision (
    service_date date NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    vehicle text COLLATE "C" NOT NULL,
    route_id text,
    direction_id smallint,
    decided_at timestamptz NOT NULL,
    decided_by text NOT NULL,
    known jsonb NOT NULL,
    PRIMARY KEY (service_date, id)
) PARTITION BY RANGE (service_date);

-- Positions, thinned: for playback. service_date is the local day of the fix. No key: COPY must stay as fast as it is.
CREATE TABLE fix (
    service_date date NOT NULL,
    at double precision NOT NULL,                       -- Unix seconds
    vehicle text COLLATE "C" NOT NULL,
    lat double precision NOT NULL,
    lon double precision NOT NULL,
    bearing_deg real,
    speed_mps real,
    state text NOT NULL,
    route_id text,
    direction_id smallint,
    trip_id text,
    distance_m real,
    off_route_m real,
    deviation_s real,
    next_stop_id text,
    occupancy text,
    -- the headway that dispatchers saw beside it, in seconds
    headway_s real,
    scheduled_headway_s real,
    leader text COLLATE "C",                            -- operator/vehicle
    headway_estimated boolean
) PARTITION BY RANGE (service_date);
CREATE INDEX fix_at ON fix (at);

-- Makes the partitions of all the days from p_from to p_to that are missing, and says how many there were to make.
CREATE FUNCTION make_history_days(p_from date, p_to date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_table text;
    v_day date;
    v_name text;
    v_made integer := 0;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['passage', 'headway', 'alert_history', 'decision', 'fix'] LOOP
        FOR v_day IN SELECT generate_series(p_from, least(p_to, p_from + 60), interval '1 day')::date LOOP
            v_name := v_table || '_' || to_char(v_day, 'YYYYMMDD');
            IF to_regclass(v_name) IS NULL THEN
                EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                               v_name, v_table, v_day, v_day + 1);
                v_made := v_made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_made;
END $$;

-- Drops the days before p_kept_from, of fixes those before p_fixes_from, and says how many tables went.
CREATE FUNCTION drop_history_days(p_kept_from date, p_fixes_from date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
    v_dropped integer := 0;
BEGIN
    FOR v_name IN
        SELECT child.relname FROM pg_inherits i
        JOIN pg_class child ON child.oid = i.inhrelid
        JOIN pg_class parent ON parent.oid = i.inhparent
        WHERE parent.relname IN ('passage', 'headway', 'alert_history', 'decision', 'fix')
          AND child.relkind = 'r' AND child.relname ~ '_[0-9]{8}$'
          AND to_date(right(child.relname, 8), 'YYYYMMDD')
              < CASE parent.relname WHEN 'fix' THEN p_fixes_from ELSE p_kept_from END
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', v_name);
        v_dropped := v_dropped + 1;
    END LOOP;
    RETURN v_dropped;
END $$;

-- Bank cards and what is asked of the acquirer. Tokens are kept in the letters a to p (ticketing/payment.py), names of
-- accounts, charges and keys are letters too: nothing here can be taken for a card number.

-- One payment account behind one card: its plastic and its phones share it by their PAR. Amounts in minor units.
CREATE TABLE bank_account (
    id text COLLATE "C" PRIMARY KEY DEFAULT translate(encode(uuid_send(gen_random_uuid()), 'hex'), '0123456789', 'ghijklmnop'),
    par bytea UNIQUE,                                   -- SHA-256
    token text NOT NULL,                                -- of the medium used last: what is charged
    made_at timestamptz NOT NULL,
    verified_at timestamptz,
    unverified_rides integer NOT NULL DEFAULT 0,
    blocked text CHECK (blocked IN ('debt', 'verification_declined')),
    -- Rides not yet charged, by the rating and, for those not rated yet, by the least fare.
    unpaid_minor bigint NOT NULL DEFAULT 0,
    hour_from timestamptz,
    hour_taps integer NOT NULL DEFAULT 0,
    recover_at timestamptz,                             -- when its debts are asked for again
    recovered_at timestamptz,                           -- when they were last
    tries integer NOT NULL DEFAULT 0                    -- verifications and recoveries asked for
) WITH (fillfactor = 70);
CREATE INDEX bank_account_recover_at ON bank_account (recover_at) WHERE recover_at IS NOT NULL;

CREATE TABLE bank_medium (
    key bytea PRIMARY KEY,                              -- SHA-256 of the token, as in the deny list
    account_id text COLLATE "C" NOT NULL REFERENCES bank_account (id),
    token text NOT NULL,
    last_used_at timestamptz,
    last_place text,                                    -- operator/vehicle
    last_tap uuid,
    last_lat real,
    last_lon real
) WITH (fillfactor = 70);
CREATE INDEX bank_medium_account_id ON bank_medium (account_id);

-- A day of an account: what it was rated at, and when its debits are to be looked at again (null: nothing waits).
CREATE TABLE bank_day (
    account_id text COLLATE "C" NOT NULL REFERENCES bank_account (id),
    day date NOT NULL,
    rated_minor bigint NOT NULL DEFAULT 0,
    waiting jsonb NOT NULL DEFAULT '[]',                -- trips that wait for one of the next day
    look_at timestamptz,
    PRIMARY KEY (account_id, day)
) WITH (fillfactor = 70);
CREATE INDEX bank_day_look_at ON bank_day (look_at) WHERE look_at IS NOT NULL;

-- One debit of a card, or (below zero) money given back of one. void: a debt that the rating has since made another.
CREATE TABLE bank_charge (
    id text COLLATE "C" PRIMARY KEY,                    -- follows from what is charged
    account_id text COLLATE "C" NOT NULL REFERENCES bank_account (id),
    day date NOT NULL,
    reason text NOT NULL CHECK (reason IN ('each', 'pair', 'odd', 'day', 'correction', 'cashier')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    due_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'paid', 'debt', 'declined', 'void')),
    done_at timestamptz,
    gives_back text COLLATE "C" REFERENCES bank_charge (id),
    acquirer_id text,                                   -- in letters; of the payment that was approved
    note text,
    CHECK ((amount_minor < 0) = (gives_back IS NOT NULL))
);
CREATE INDEX bank_charge_account_id ON bank_charge (account_id, made_at);
CREATE INDEX bank_charge_gives_back ON bank_charge (gives_back) WHERE gives_back IS NOT NULL;
CREATE INDEX bank_charge_open ON bank_charge (due_at) WHERE state IN ('asked', 'debt');

-- What of a charge is for which tap; the sums by tap are what has been taken for it.
CREATE TABLE bank_charge_tap (
    charge_id text COLLATE "C" NOT NULL REFERENCES bank_charge (id),
    tap_id text COLLATE "C" NOT NULL,
    minor bigint NOT NULL,
    PRIMARY KEY (charge_id, tap_id)
);
CREATE INDEX bank_charge_tap_tap_id ON bank_charge_tap (tap_id);

-- A ticket bought over the passenger's page: paid first, then issued.
CREATE TABLE purchase (
    id text COLLATE "C" PRIMARY KEY,
    client_key bytea UNIQUE,                            -- SHA-256 of the Idempotency-Key, where one was given
    request_hash bytea NOT NULL,
    product_id text NOT NULL,
    product jsonb NOT NULL,                             -- as it was offered: what is issued whatever is sold by then
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    start_s bigint NOT NULL,
    device_key jsonb,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'declined', 'returned')),
    reason text,
    ticket_id uuid UNIQUE,
    acquirer_id text,
    made_at timestamptz NOT NULL,
    done_at timestamptz,
    CHECK (ticket_id IS NOT NULL OR state <> 'approved')
);

-- City cards that are topped up by themselves from a bank card when their purse runs low.

-- What a card's holder has agreed to. No trigger and no index stands on card for it: a tap pays nothing for this.
CREATE TABLE auto_top_up (
    card_uid bytea PRIMARY KEY REFERENCES card (uid),
    method_token text NOT NULL,                         -- the acquirer's, in letters
    threshold_minor bigint NOT NULL CHECK (threshold_minor > 0),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    max_per_day integer NOT NULL CHECK (max_per_day > 0),
    state text NOT NULL DEFAULT 'on' CHECK (state IN ('on', 'paused')),
    reason text,                                        -- why it is paused
    set_at timestamptz NOT NULL,
    last_at timestamptz,                                -- when it last put money on the card
    look_at timestamptz                                 -- not looked at before; null: whenever its turn comes
);

-- One top-up, written down before the acquirer is asked; its id is the key that is asked under.
CREATE TABLE auto_top_up_order (
    id text COLLATE "C" PRIMARY KEY,
    card_uid bytea NOT NULL REFERENCES card (uid),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'declined')),
    reason text,
    made_at timestamptz NOT NULL,
    done_at timestamptz
);
CREATE INDEX auto_top_up_order_card_uid ON auto_top_up_order (card_uid, made_at);
-- A card waits for one answer at a time.
CREATE UNIQUE INDEX auto_top_up_order_open ON auto_top_up_order (card_uid) WHERE state = 'open';

-- One operation at the acquirer, written down before it is asked. Its key is asked again until there is an answer;
-- unclear: there was none for so long that a person has to look.
CREATE TABLE payment (
    key text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('verify', 'charge', 'refund')),
    account_id text COLLATE "C" REFERENCES bank_account (id),
    charge_id text COLLATE "C" REFERENCES bank_charge (id),
    purchase_id text COLLATE "C" REFERENCES purchase (id),
    token text,
    refunds text,                                       -- in letters: the acquirer's id of what is given back
    amount_minor bigint CHECK (amount_minor > 0),
    currency text,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'approved', 'declined', 'unclear')),
    asks integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    done_at timestamptz,
    acquirer_id text,
    reason text,
    top_up_id text COLLATE "C" REFERENCES auto_top_up_order (id),
    CHECK ((kind = 'verify') = (amount_minor IS NULL)),
    CHECK ((kind = 'refund') = (refunds IS NOT NULL)),
    CHECK ((kind = 'refund') <> (token IS NOT NULL))
);
CREATE INDEX payment_next_at ON payment (next_at) WHERE state = 'asked';
CREATE INDEX payment_to_look_at ON payment (kind, state) WHERE state IN ('declined', 'unclear');
CREATE INDEX payment_account_id ON payment (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX payment_charge_id ON payment (charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX payment_purchase_id ON payment (purchase_id) WHERE purchase_id IS NOT NULL;
CREATE INDEX payment_top_up_id ON payment (top_up_id) WHERE top_up_id IS NOT NULL;

-- A rated day of a bank account is looked at, in the same transaction as its rating.
CREATE FUNCTION look_at_bank_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bank_day AS d (account_id, day, look_at)
    SELECT a.id, new.service_date, 'epoch' FROM bank_account a WHERE a.id = substr(new.account, 6)
    ON CONFLICT (account_id, day) DO UPDATE SET look_at = 'epoch';
    RETURN NULL;
END
$$;
CREATE TRIGGER day_rating_of_bank AFTER INSERT OR UPDATE ON day_rating
    FOR EACH ROW WHEN (new.account LIKE 'bank:%') EXECUTE FUNCTION look_at_bank_day();

-- Puts all media of an account on the deny list, or takes them off.
CREATE FUNCTION deny_bank_account(p_account text, p_removed boolean, p_reason text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deny_entry (kind, medium, removed, reason)
    SELECT 'bank', m.key, p_removed, p_reason FROM bank_medium m
    WHERE m.account_id = p_account AND denied('bank', m.key) = p_removed ORDER BY m.key
$$;

-- A bank card's tap as its judge is given it; oda is the reader's offline data authentication.
CREATE TYPE bank_tap_given AS (
    ord integer, operator text, device text, id uuid, boot text, seq bigint, ts float8, received float8, at_s float8,
    key bytea, token text, par bytea, oda text, vehicle text, stop_id text, lat float8, lon float8, route_id text,
    direction_id smallint, offline text, rules integer, hash bytea
);

-- The medium of each token that is new, on the account that its PAR names or on one of its own, which is verified.
CREATE FUNCTION know_bank_media(p_taps bank_tap_given[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    g record;
    m bank_medium;
    a bank_account;
    by_par bank_account;
BEGIN
    -- In one order for everybody, so that two batches never wait for each other in a circle.
    FOR g IN SELECT DISTINCT ON (t.key) t.key, t.token, t.par, t.received FROM unnest(p_taps) t
             ORDER BY t.key, t.par NULLS LAST LOOP
        SELECT * INTO m FROM bank_medium WHERE key = g.key FOR NO KEY UPDATE;
        by_par := NULL;
        IF g.par IS NOT NULL THEN
            SELECT * INTO by_par FROM bank_account WHERE par = g.par;
        END IF;
        IF m.key IS NOT NULL THEN
            SELECT * INTO a FROM bank_account WHERE id = m.account_id FOR NO KEY UPDATE;
            IF g.par IS NULL OR a.par IS NOT NULL THEN
                CONTINUE;
            ELSIF by_par.id IS NULL THEN
                UPDATE bank_account SET par = g.par WHERE id = a.id;
            ELSIF a.blocked IS NULL AND a.unpaid_minor = 0 THEN
                -- What the card owes under its first account is settled there before it moves.
                UPDATE bank_medium SET account_id = by_par.id WHERE key = g.key;
            END IF;
            CONTINUE;
        END IF;
        IF by_par.id IS NULL THEN
            INSERT INTO bank_account (par, token, made_at) VALUES (g.par, g.token, to_timestamp(g.received))
            ON CONFLICT (par) DO NOTHING RETURNING * INTO by_par;
            IF by_par.id IS NULL THEN
                SELECT * INTO by_par FROM bank_account WHERE par = g.par;
            ELSE
                INSERT INTO payment (key, kind, account_id, token, next_at, made_at)
                VALUES (by_par.id || '-va', 'verify', by_par.id, g.token, to_timestamp(g.received), to_timestamp(g.received));
            END IF;
        END IF;
        INSERT INTO bank_medium (key, account_id, token) VALUES (g.key, by_par.id, g.token) ON CONFLICT (key) DO NOTHING;
        IF by_par.blocked IS NOT NULL THEN
            PERFORM deny_bank_account(by_par.id, false, by_par.blocked);
        END IF;
    END LOOP;
END
$$;

-- What is against a ride, in the order of the verdicts; both null where nothing is.
CREATE FUNCTION against_bank_tap(
    g bank_tap_given, m bank_medium, a bank_account, p_fare bigint, p_passback interval, p_unpaid_max bigint,
    p_hour_max integer, p_unverified_max integer, OUT verdict verdict, OUT reason text
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    reason := CASE
        WHEN a.blocked IS NOT NULL THEN a.blocked
        WHEN denied('bank', m.key) THEN 'deny_list'
        WHEN a.verified_at IS NULL AND g.oda <> 'passed' THEN 'not_verified'
        WHEN a.verified_at IS NULL AND a.unverified_rides >= p_unverified_max THEN 'awaits_verification'
        WHEN a.unpaid_minor + p_fare > p_unpaid_max THEN 'unpaid_limit'
        WHEN a.hour_taps >= p_hour_max AND to_timestamp(g.at_s) < a.hour_from + interval '1 hour' THEN 'too_many_taps'
    END;
    IF reason IS NOT NULL THEN
        verdict := 'denied';
    ELSIF m.last_place = g.operator || '/' || g.vehicle AND to_timestamp(g.at_s) >= m.last_used_at
          AND to_timestamp(g.at_s) < m.last_used_at + p_passback THEN
        verdict := 'passback';
    END IF;
END
$$;

-- What an accepted ride changes. A late tap does not move what a later one has set.
CREATE FUNCTION use_bank_medium(g bank_tap_given, m bank_medium, p_fare bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := to_timestamp(g.at_s);
BEGIN
    UPDATE bank_medium b SET last_used_at = v_at, last_place = g.operator || '/' || g.vehicle, last_tap = g.id,
                             last_lat = g.lat, last_lon = g.lon
    WHERE b.key = g.key AND coalesce(b.last_used_at <= v_at, true);
    UPDATE bank_account b SET
        token = g.token,
        unverified_rides = b.unverified_rides + CASE WHEN b.verified_at IS NULL THEN 1 ELSE 0 END,
        unpaid_minor = b.unpaid_minor + p_fare,
        hour_taps = CASE WHEN v_at >= b.hour_from + interval '1 hour' OR b.hour_from IS NULL THEN 1 ELSE b.hour_taps + 1 END,
        hour_from = CASE WHEN v_at >= b.hour_from + interval '1 hour' OR b.hour_from IS NULL THEN v_at ELSE b.hour_from END
    WHERE b.id = m.account_id;
END
$$;

-- Judges taps of bank cards one after the other, in the caller's transaction: a ride whose price the day's rating will
-- say. What a validator accepted alone was ridden, so it is accepted and owed whatever we would have said; that we would
-- have refused it makes it a conflict, with our reason.
CREATE FUNCTION judge_bank_taps(
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
