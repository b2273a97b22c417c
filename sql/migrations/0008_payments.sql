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
    last_tap uuid
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
    CHECK ((kind = 'verify') = (amount_minor IS NULL)),
    CHECK ((kind = 'refund') = (refunds IS NOT NULL)),
    CHECK ((kind = 'refund') <> (token IS NOT NULL))
);
CREATE INDEX payment_next_at ON payment (next_at) WHERE state = 'asked';
CREATE INDEX payment_to_look_at ON payment (kind, state) WHERE state IN ('declined', 'unclear');
CREATE INDEX payment_account_id ON payment (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX payment_charge_id ON payment (charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX payment_purchase_id ON payment (purchase_id) WHERE purchase_id IS NOT NULL;

-- A payment's outcome is booked once: the ledger itself refuses a second line for its key.
ALTER TABLE transfer ADD COLUMN payment_key text;
CREATE UNIQUE INDEX transfer_payment_key ON transfer (payment_key) WHERE payment_key IS NOT NULL;
ALTER TABLE transfer DROP CONSTRAINT transfer_kind_check,
    ADD CONSTRAINT transfer_kind_check CHECK (
        kind IN ('sale', 'refund', 'top_up', 'fare', 'difference', 'reversal', 'debt', 'penalty', 'penalty_payment', 'charge'));

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
    UPDATE bank_medium b SET last_used_at = v_at, last_place = g.operator || '/' || g.vehicle, last_tap = g.id
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
    p_unverified_max integer
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
        INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, vehicle, stop_id, lat, lon,
                         offline_verdict, rules_version, content_hash, verdict, reason, conflict, conflict_with, clock_off,
                         route_id, direction_id, account, rating_due)
        VALUES (g.operator, g.device, g.id, g.boot, g.seq, to_timestamp(g.ts), to_timestamp(g.received), 'bank', g.vehicle,
                g.stop_id, g.lat, g.lon, g.offline, g.rules, g.hash, v_verdict,
                CASE WHEN v_conflict OR v_verdict = says.verdict THEN says.reason END,
                v_conflict, CASE WHEN v_conflict THEN m.last_tap END,
                abs(g.ts - g.received) > 300 AND (g.offline IS NULL OR g.ts > g.received), g.route_id, g.direction_id,
                'bank:' || a.id, v_verdict = 'accepted');
        IF v_conflict THEN
            INSERT INTO security_event AS e (kind, operator, device, subject)
            VALUES ('offline_conflict', g.operator, g.device, g.id::text)
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
