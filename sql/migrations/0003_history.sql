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
    occupancy text
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
