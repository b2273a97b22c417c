-- name: set
-- What a card's holder agrees to, in place of any agreement before; it is on, whatever paused that one.
INSERT INTO auto_top_up AS a (card_uid, method_token, threshold_minor, amount_minor, max_per_day, set_at)
SELECT uid, $2, $3, $4, $5, to_timestamp($6::float8) FROM card WHERE uid = $1
ON CONFLICT (card_uid) DO UPDATE SET
    method_token = excluded.method_token, threshold_minor = excluded.threshold_minor, amount_minor = excluded.amount_minor,
    max_per_day = excluded.max_per_day, set_at = excluded.set_at, state = 'on', reason = NULL, look_at = NULL
RETURNING true;

-- name: reopen_unclear
-- Ask again what nobody answered for a day, under its own key.
UPDATE payment p SET state = 'asked', asks = 0, next_at = to_timestamp($2::float8)
FROM auto_top_up_order o WHERE o.card_uid = $1 AND o.state = 'open' AND p.top_up_id = o.id AND p.state = 'unclear';

-- name: remove
-- End a card's agreement; nothing where there is none. A top-up under way is still booked.
DELETE FROM auto_top_up WHERE card_uid = $1 RETURNING true;

-- name: forget
-- Once a card has no agreement, forget the bank cards that topped it up: what is still asked needs its own until it is answered.
UPDATE payment p SET token = '' FROM auto_top_up_order o
WHERE p.top_up_id = o.id AND o.card_uid = $1 AND o.state <> 'open' AND p.token <> ''
  AND NOT EXISTS (SELECT FROM auto_top_up a WHERE a.card_uid = o.card_uid);

-- name: get
-- A card's agreement with its newest order; unknown: asked, and nobody could say.
SELECT a.state, a.threshold_minor, a.amount_minor, a.max_per_day, c.currency, a.reason,
       extract(epoch FROM a.last_at)::float8 AS last_at, o.id AS order_id, o.amount_minor AS order_minor,
       CASE WHEN o.state = 'open' AND p.reason IS NOT NULL THEN 'unknown' ELSE o.state END AS order_state,
       o.reason AS order_reason, extract(epoch FROM o.made_at)::float8 AS made_at, extract(epoch FROM o.done_at)::float8 AS done_at
FROM auto_top_up a JOIN card c ON c.uid = a.card_uid
LEFT JOIN LATERAL (SELECT * FROM auto_top_up_order n WHERE n.card_uid = a.card_uid ORDER BY n.made_at DESC LIMIT 1) o ON true
LEFT JOIN payment p ON p.top_up_id = o.id
WHERE a.card_uid = $1;

-- name: sweep
-- The next agreements that are on, by UID after $1, at most $2, and which of their purses have run low.
WITH part AS (
    SELECT card_uid, threshold_minor, look_at FROM auto_top_up WHERE state = 'on' AND card_uid > $1 ORDER BY card_uid LIMIT $2
)
SELECT p.card_uid, c.balance_minor < p.threshold_minor AND coalesce(p.look_at <= to_timestamp($3::float8), true) AS low
FROM part p JOIN card c ON c.uid = p.card_uid ORDER BY p.card_uid;

-- name: lock
-- An agreement that is on, held until the end of the transaction.
SELECT card_uid FROM auto_top_up WHERE card_uid = $1 AND state = 'on' FOR UPDATE;

-- name: lock_card
-- Its card, against taps and top-ups at the desk.
SELECT uid FROM card WHERE uid = $1 FOR NO KEY UPDATE;

-- name: standing
-- All that decides about a top-up, read once agreement and card are locked.
SELECT a.method_token, a.threshold_minor, a.amount_minor, a.max_per_day, c.balance_minor, c.currency,
       c.status <> 'active' OR denied('card', c.uid) AS blocked,
       (SELECT count(*) FROM auto_top_up_order o WHERE o.card_uid = c.uid) AS orders,
       (SELECT count(*) FROM auto_top_up_order o WHERE o.card_uid = c.uid AND o.state = 'open') AS open,
       (SELECT count(*) FROM auto_top_up_order o WHERE o.card_uid = c.uid AND o.state <> 'declined'
                                                   AND o.made_at > to_timestamp($2::float8) - interval '24 hours') AS today
FROM auto_top_up a JOIN card c ON c.uid = a.card_uid WHERE a.card_uid = $1;

-- name: look_later
-- Do not look at a card again before an instant.
UPDATE auto_top_up SET look_at = to_timestamp($2::float8) WHERE card_uid = $1;

-- name: pause
-- Stop until somebody sets it again.
UPDATE auto_top_up SET state = 'paused', reason = $2 WHERE card_uid = $1 AND state = 'on' RETURNING true;

-- name: pause_method
-- Stop after a decline, unless the holder has named another method since.
UPDATE auto_top_up a SET state = 'paused', reason = $3 FROM payment p
WHERE a.card_uid = $1 AND a.state = 'on' AND p.key = $2 AND p.token = a.method_token RETURNING true;

-- name: insert_order
-- A top-up that is about to be asked for.
INSERT INTO auto_top_up_order (id, card_uid, amount_minor, currency, made_at) VALUES ($1, $2, $3, $4, to_timestamp($5::float8));

-- name: lock_order
-- One order, held until the end of the transaction.
SELECT id, card_uid, amount_minor, currency, state FROM auto_top_up_order WHERE id = $1 FOR UPDATE;

-- name: settle_order
-- What has become of an order.
UPDATE auto_top_up_order SET state = $2, reason = $3, done_at = to_timestamp($4::float8) WHERE id = $1;

-- name: topped_up
-- A card's agreement has put money on it.
UPDATE auto_top_up SET last_at = to_timestamp($2::float8), look_at = NULL WHERE card_uid = $1;

-- name: book
-- The ledger's line of a top-up; a second one for its key is refused by the table.
INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by, payment_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: under_way
-- What is about to be put on a card, in minor units.
SELECT coalesce(sum(amount_minor), 0)::bigint FROM auto_top_up_order WHERE card_uid = $1 AND state = 'open';

-- name: figures
-- How many agreements there are by state, and orders that wait for an answer.
SELECT (SELECT count(*) FROM auto_top_up WHERE state = 'on') AS "on",
       (SELECT count(*) FROM auto_top_up WHERE state = 'paused') AS paused,
       (SELECT count(*) FROM auto_top_up_order WHERE state = 'open') AS open;
