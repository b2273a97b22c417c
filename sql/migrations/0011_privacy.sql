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
