-- name: judge
-- One round trip for a batch of taps: locks, judges, books, stores and answers (see judge_taps in schema.sql).
SELECT * FROM judge_taps($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: judge_cards
-- The same for online taps of city cards, one per card: books those that are accepted, returns those left over.
SELECT * FROM judge_card_taps($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: let_in
-- Taps that were refused while their validators, which had no answer, let the riders in: each is a conflict from now on,
-- as if its validator's word had come first; $1 to $4 go together. A ride without the money is to be rated where $5.
WITH let_in AS (
    UPDATE tap t SET
        offline_verdict = 'accepted', rules_version = n.rules, conflict = true,
        rating_due = t.rating_due OR $5 AND t.verdict = 'insufficient_funds',
        flags = CASE WHEN $5 AND t.verdict = 'insufficient_funds' THEN array_append(coalesce(t.flags, '{}'), 'owed')
                     ELSE t.flags END
    FROM unnest($1::text[], $2::text[], $3::uuid[], $4::integer[]) AS n (operator, device, id, rules)
    WHERE t.operator = n.operator AND t.device = n.device AND t.id = n.id AND t.medium <> 'bank'
          AND t.offline_verdict IS NULL AND NOT t.conflict AND t.verdict <> 'accepted'
    RETURNING t.operator, t.device, t.id, t.verdict, coalesce(t.card_uid, uuid_send(t.ticket_id)) AS held,
              t.card_uid IS NOT NULL AS on_card
), denied_now AS (
    INSERT INTO deny_entry (kind, medium, reason, tap_id)
    SELECT CASE WHEN on_card THEN 'card' ELSE 'ticket' END, held, 'offline_conflict', id FROM let_in
    WHERE verdict IN ('revoked', 'suspended', 'used_up') AND held IS NOT NULL
), noticed AS (
    INSERT INTO security_event AS e (kind, operator, device, subject)
    SELECT 'offline_conflict', operator, device, id::text FROM let_in ORDER BY 1, 2, 3, 4
    ON CONFLICT (kind, operator, device, subject) DO UPDATE SET times = e.times + 1, last_at = now()
)
SELECT operator, device, id::text AS id FROM let_in;
