-- name: taps
-- The taps that were received in [$1, $2): how many and for how many riders, by operator, route, product and medium.
SELECT t.operator, t.route_id, coalesce(q.product_id, CASE t.medium WHEN 'card' THEN 'purse' ELSE t.medium END) AS product,
       t.medium, count(*) FILTER (WHERE t.verdict = 'accepted') AS accepted,
       coalesce(sum(t.riders) FILTER (WHERE t.verdict = 'accepted'), 0)::bigint AS riders,
       count(*) FILTER (WHERE t.verdict <> 'accepted') AS refused, count(*) FILTER (WHERE t.conflict) AS conflicts,
       count(*) FILTER (WHERE t.offline_verdict IS NOT NULL) AS offline
FROM tap t LEFT JOIN ticket q ON q.id = t.ticket_id
WHERE t.received_at >= to_timestamp($1::float8) AND t.received_at < to_timestamp($2::float8)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2 NULLS FIRST, 3, 4;

-- name: fares
-- What moved on the account of fares in [$1, $2), by the operator and route of the taps that it was for. Charges of bank
-- cards are for several taps each; taps may be up to 40 days older than the posting that corrects them.
WITH moved AS (
    SELECT x.id, x.currency, CASE WHEN x.credit = 'fares' THEN 1 ELSE -1 END AS way, x.amount_minor, x.tap_id, p.charge_id
    FROM transfer x LEFT JOIN payment p ON p.key = x.payment_key
    WHERE x.at >= to_timestamp($1::float8) AND x.at < to_timestamp($2::float8) AND 'fares' IN (x.debit, x.credit)
), part AS (
    SELECT m.currency, m.way * m.amount_minor AS minor, m.tap_id FROM moved m WHERE m.charge_id IS NULL
    UNION ALL
    SELECT m.currency, m.way * abs(c.minor), CASE WHEN split_part(c.tap_id, '@', 1) ~ '^[0-9a-f-]{36}$'
                                             THEN split_part(c.tap_id, '@', 1)::uuid END
    FROM moved m JOIN bank_charge_tap c ON c.charge_id = m.charge_id
    UNION ALL
    -- What a charge took beyond its taps, should that ever be.
    SELECT m.currency, m.way * (m.amount_minor - coalesce((SELECT sum(abs(c.minor)) FROM bank_charge_tap c
                                                           WHERE c.charge_id = m.charge_id), 0)), NULL
    FROM moved m WHERE m.charge_id IS NOT NULL
), seen AS (
    SELECT DISTINCT ON (t.id) t.id, t.operator, t.route_id, t.medium, t.ticket_id FROM tap t
    WHERE t.received_at >= to_timestamp($1::float8) - interval '40 days' AND t.received_at < to_timestamp($2::float8)
      AND t.id IN (SELECT tap_id FROM part)
    ORDER BY t.id, t.operator, t.device
)
SELECT s.operator, s.route_id, coalesce(q.product_id, CASE s.medium WHEN 'card' THEN 'purse' ELSE s.medium END) AS product,
       p.currency, sum(p.minor)::bigint AS minor
FROM part p LEFT JOIN seen s ON s.id = p.tap_id LEFT JOIN ticket q ON q.id = s.ticket_id
GROUP BY 1, 2, 3, 4 HAVING sum(p.minor) <> 0 ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3 NULLS FIRST, 4;

-- name: sales
-- Tickets sold and given back in [$1, $2), by product.
SELECT q.product_id AS product, x.currency, count(*) FILTER (WHERE x.credit = 'sales') AS sold,
       coalesce(sum(x.amount_minor) FILTER (WHERE x.credit = 'sales'), 0)::bigint AS sold_minor,
       count(*) FILTER (WHERE x.debit = 'sales') AS refunded,
       coalesce(sum(x.amount_minor) FILTER (WHERE x.debit = 'sales'), 0)::bigint AS refunded_minor
FROM transfer x LEFT JOIN ticket q ON q.id = x.ticket_id
WHERE x.at >= to_timestamp($1::float8) AND x.at < to_timestamp($2::float8) AND 'sales' IN (x.debit, x.credit)
GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2;

-- name: accounts
-- What moved in [$1, $2) on accounts of each class; purse:<uid> is of class purse.
SELECT class, currency, sum(debit)::bigint AS debit_minor, sum(credit)::bigint AS credit_minor FROM (
    SELECT split_part(debit, ':', 1) AS class, currency, amount_minor AS debit, 0::bigint AS credit FROM transfer
    WHERE at >= to_timestamp($1::float8) AND at < to_timestamp($2::float8)
    UNION ALL
    SELECT split_part(credit, ':', 1), currency, 0, amount_minor FROM transfer
    WHERE at >= to_timestamp($1::float8) AND at < to_timestamp($2::float8)
) moved GROUP BY 1, 2 ORDER BY 1, 2;

-- name: newest
-- The newest version of a day's settlement.
SELECT day, version, extract(epoch FROM made_at)::float8 AS made_at, made_by, hash, document::text
FROM settlement WHERE day = $1 ORDER BY version DESC LIMIT 1;

-- name: claim
-- One settlement of a day at a time, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('takt settlement ' || $1::date, 0));

-- name: insert
-- Another version of a day's settlement.
INSERT INTO settlement (day, version, made_by, hash, document) VALUES ($1, $2, $3, $4, $5::jsonb);

-- name: days
-- The days that have been settled, newest first.
SELECT DISTINCT ON (day) day, version, extract(epoch FROM made_at)::float8 AS made_at, made_by, hash
FROM settlement ORDER BY day DESC, version DESC LIMIT $1;

-- name: last
-- The newest day that has been settled.
SELECT max(day) AS day FROM settlement;

-- name: unsettled
-- The days from $1 to $2 that have not been settled, oldest first.
SELECT d::date AS day FROM generate_series($1::date, $2::date, interval '1 day') d
WHERE NOT EXISTS (SELECT FROM settlement s WHERE s.day = d::date) ORDER BY 1;

-- name: forgotten
-- Whether taps that were received in [$1, $2) have been forgotten: then a settlement is final. Forgotten taps are counted
-- by the hour, and a day may begin within one: such an hour counts unless $3, by which only whole hours of the day do.
SELECT EXISTS (
    SELECT FROM (SELECT received_day, received_day + make_interval(hours => hour) AS begins FROM tap_count) c,
                (SELECT to_timestamp($1::float8) AT TIME ZONE 'UTC' AS begins,
                        to_timestamp($2::float8) AT TIME ZONE 'UTC' AS ends) d
    WHERE c.received_day >= d.begins::date - 1 AND c.begins < d.ends AND c.begins + interval '1 hour' > d.begins
      AND (NOT $3 OR c.begins >= d.begins AND c.begins + interval '1 hour' <= d.ends)
);

-- name: begun
-- When this database was made: there is nothing to settle before.
SELECT extract(epoch FROM min(applied_at))::float8 FROM schema_migration;
