-- name: enrol
-- A new city card; nothing when it is enrolled already.
INSERT INTO card (uid, key_version, currency) VALUES ($1, $2, $3) ON CONFLICT (uid) DO NOTHING RETURNING uid;

-- name: get
-- One card by its UID, with whether it is on the deny list.
SELECT uid, key_version, status, counter, balance_minor, debt_minor, category, currency,
       extract(epoch FROM enrolled_at)::float8 AS enrolled_at,
       extract(epoch FROM last_used_at)::float8 AS last_used_at, last_place, denied('card', uid) AS denied
FROM card WHERE uid = $1;

-- name: top_up
-- More in a card's purse; nothing when there is no such card.
UPDATE card SET balance_minor = balance_minor + $2 WHERE uid = $1 RETURNING balance_minor, currency;

-- name: lock
-- One card, held until the end of the transaction.
SELECT uid FROM card WHERE uid = $1 FOR NO KEY UPDATE;

-- name: balance
-- What a card's purse holds, within the transaction that put money there.
SELECT balance_minor FROM card WHERE uid = $1;

-- name: purse_differences
-- Cards whose purse is not the sum of its transfers: none, or the books are wrong.
SELECT c.uid, c.balance_minor, coalesce(s.sum, 0) AS booked_minor
FROM card c LEFT JOIN (
    SELECT card_uid, sum(CASE WHEN credit LIKE 'purse:%' THEN amount_minor ELSE -amount_minor END)::bigint AS sum
    FROM transfer WHERE card_uid IS NOT NULL AND (credit LIKE 'purse:%' OR debit LIKE 'purse:%') GROUP BY card_uid
) s ON s.card_uid = c.uid
WHERE c.balance_minor <> coalesce(s.sum, 0) LIMIT 100;

-- name: see
-- A card's message read by a controller: its counter is spent. Nothing where it was spent before or does not rise.
WITH seen AS (
    UPDATE card SET counter = $2 WHERE uid = $1 AND counter < $2 AND key_version = $4 RETURNING uid
)
INSERT INTO card_use (card_uid, counter, tap_id) SELECT uid, $2, $3 FROM seen ON CONFLICT DO NOTHING RETURNING true;

-- name: inspect
-- What a controller sees of a card: its state, its purse, and the ticket that lasts longest.
SELECT least(CASE c.status WHEN 'revoked' THEN 'revoked' WHEN 'suspended' THEN 'suspended' ELSE 'accepted' END::verdict,
             CASE WHEN denied('card', c.uid) THEN 'denied' ELSE 'accepted' END::verdict) AS verdict,
       t.id AS ticket_id, t.product_id, extract(epoch FROM t.valid_until)::float8 AS valid_until, t.uses, t.uses_allowed,
       c.balance_minor, c.currency, extract(epoch FROM c.last_used_at)::float8 AS last_used_at, c.last_place
FROM card c LEFT JOIN LATERAL (
    SELECT * FROM ticket h WHERE h.card_uid = c.uid AND h.valid_until > to_timestamp($2) AND h.status = 'valid'
    ORDER BY h.valid_until DESC LIMIT 1
) t ON true
WHERE c.uid = $1;
