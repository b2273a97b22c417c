-- Rides that are told of late: none is free because its ticket was given back, or its card blocked, before we heard of it.

-- What was given back covers no more rides than it had brought by then (of a pass: none, or those before). Of tickets
-- given back before today that is what they had brought.
ALTER TABLE ticket ADD COLUMN uses_kept integer;
UPDATE ticket t SET uses_kept = t.uses
WHERE t.status = 'revoked' AND EXISTS (SELECT FROM transfer x WHERE x.ticket_id = t.id AND x.kind = 'refund');

-- When a tap was made, as the judge takes it: by our clock while online and not late, else by the device's own unless
-- that cannot be true.
CREATE FUNCTION tap_at(t tap) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN CASE
        WHEN (t.offline_verdict IS NOT NULL OR 'late' = ANY (t.flags))
             AND t.taken_at BETWEEN t.received_at - interval '30 days' AND t.received_at + interval '300 seconds'
            THEN least(t.taken_at, t.received_at)
        ELSE t.received_at
    END;

-- What somebody has to look at is found by its time: of all taps a few.
CREATE INDEX tap_to_look_at ON tap (received_at) WHERE conflict OR flags IS NOT NULL;
