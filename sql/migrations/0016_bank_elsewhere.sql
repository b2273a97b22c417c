-- A bank card that is used at two places too far apart is flagged as city cards and tickets are; nobody is refused for it.
ALTER TABLE bank_medium ADD COLUMN last_lat real, ADD COLUMN last_lon real;

-- What an accepted ride changes. A late tap does not move what a later one has set.
CREATE OR REPLACE FUNCTION use_bank_medium(g bank_tap_given, m bank_medium, p_fare bigint) RETURNS void LANGUAGE plpgsql AS $$
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

DROP FUNCTION judge_bank_taps(bank_tap_given[], bigint, interval, bigint, integer, integer);

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
        INSERT INTO tap (operator, device, id, boot, seq, taken_at, received_at, medium, vehicle, stop_id, lat, lon,
                         offline_verdict, rules_version, content_hash, verdict, reason, conflict, conflict_with, clock_off,
                         route_id, direction_id, account, rating_due, flags)
        VALUES (g.operator, g.device, g.id, g.boot, g.seq, to_timestamp(g.ts), to_timestamp(g.received), 'bank', g.vehicle,
                g.stop_id, g.lat, g.lon, g.offline, g.rules, g.hash, v_verdict,
                CASE WHEN v_conflict OR v_verdict = says.verdict THEN says.reason END,
                v_conflict, CASE WHEN v_conflict THEN m.last_tap END,
                abs(g.ts - g.received) > 300 AND (g.offline IS NULL OR g.ts > g.received), g.route_id, g.direction_id,
                'bank:' || a.id, v_verdict = 'accepted', CASE WHEN v_elsewhere THEN ARRAY['elsewhere'] END);
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
