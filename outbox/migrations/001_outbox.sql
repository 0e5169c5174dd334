-- The outbox of a control plane: events that wait in the database of the state
-- that they tell of, until `projector relay` has published them. Run it in one
-- transaction, as psql --single-transaction or outbox.Migrate does.

CREATE SCHEMA outbox;

CREATE TABLE outbox.schema_version (version integer NOT NULL);
INSERT INTO outbox.schema_version VALUES (1);

-- How many events each subject has had. A row is locked by the transaction that
-- writes an event of the subject, until that ends: so the numbers of a subject
-- have no gaps, and become visible in their order. Rows stay for ever.
CREATE TABLE outbox.subjects (
    subject text COLLATE "C" PRIMARY KEY
        CHECK (subject ~ '^controlplane\.(account\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|quota_tier\.[A-Za-z0-9_-]{1,64})$'),
    last    bigint NOT NULL
) WITH (fillfactor = 80);

-- sound_header tells whether headers have the form that the relay reads: an object of
-- arrays of texts, or null. Names are tokens, and values have no ends of lines, as
-- NATS's headers.
CREATE FUNCTION outbox.sound_header(header jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN header IS NULL THEN true WHEN jsonb_typeof(header) <> 'object' THEN false
    ELSE NOT EXISTS (SELECT FROM jsonb_each(header) h (name, list)
        WHERE name !~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' OR CASE WHEN jsonb_typeof(list) <> 'array' THEN true
            ELSE EXISTS (SELECT FROM jsonb_array_elements(list) v (item) WHERE jsonb_typeof(item) <> 'string' OR item #>> '{}' ~ '[\r\n]') END)
    END
$$;

-- Events that are not published yet, or not known to be. seq is drawn while the
-- subject's counter is locked, so within a subject it has the order of number.
CREATE TABLE outbox.messages (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    text COLLATE "C" NOT NULL,
    number     bigint NOT NULL,
    id         text COLLATE "C" NOT NULL CHECK (id <> '' AND id !~ '[[:cntrl:]]|^ | $'), -- sent as Nats-Msg-Id, as headers keep it
    header     jsonb CHECK (outbox.sound_header(header)),
    data       bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT messages_subject_number UNIQUE (subject, number),
    CONSTRAINT messages_id UNIQUE (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What the relay knows of the stream: which it is, and where to look for messages
-- that an earlier relay may have sent. Each relay that takes over has an epoch of
-- its own.
CREATE TABLE outbox.relay (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch          bigint NOT NULL DEFAULT 0,
    stream_name    text,
    stream_created timestamptz,
    stream_id      text,
    search_from    bigint NOT NULL DEFAULT 0, -- what is pending is not in the stream up to here
    last_position  bigint NOT NULL DEFAULT 0, -- where the last message that was acknowledged is
    last_subject   text,
    last_id        text,
    last_at        timestamptz
);
INSERT INTO outbox.relay DEFAULT VALUES;

-- Messages that JetStream refuses. Each holds up its own subject, and is tried
-- again now and then.
CREATE TABLE outbox.refused (
    subject     text COLLATE "C" PRIMARY KEY,
    number      bigint NOT NULL,
    id          text NOT NULL,
    reason      text NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    search_from bigint NOT NULL
);

-- write_all writes events in the caller's transaction: of the n-th, the n-th
-- element of each array. Headers are JSON objects of arrays of texts, or null.
--
-- It locks the counters in the order of the subjects' names, so two calls never
-- wait for each other in a circle; a transaction that calls it several times may.
CREATE FUNCTION outbox.write_all(subjects text[], ids text[], headers text[], payloads bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written record;
BEGIN
    IF EXISTS (SELECT FROM unnest(headers) h WHERE NOT outbox.sound_header(h::jsonb)) THEN
        RAISE EXCEPTION 'outbox: a header is %, and has to be an object of arrays of texts without ends of lines, such as {"Content-Type": ["application/cloudevents+json"]}, or NULL',
            (SELECT left(h, 200) FROM unnest(headers) h WHERE NOT outbox.sound_header(h::jsonb) LIMIT 1) USING ERRCODE = '22023';
    END IF;
    IF EXISTS (SELECT FROM unnest(headers) h, jsonb_object_keys(h::jsonb) name WHERE lower(name) LIKE 'nats-%') THEN
        RAISE EXCEPTION 'outbox: a header begins with Nats-, and those are the relay''s own' USING ERRCODE = '22023';
    END IF;
    FOR written IN
        SELECT w.subject COLLATE "C" AS subject, count(*) AS messages FROM unnest(subjects) w (subject) GROUP BY 1 ORDER BY 1
    LOOP
        INSERT INTO outbox.subjects AS counter (subject, last) VALUES (written.subject, written.messages)
        ON CONFLICT (subject) DO UPDATE SET last = counter.last + excluded.last;
    END LOOP;
    INSERT INTO outbox.messages (subject, number, id, header, data)
    SELECT w.subject, counter.last - count(*) OVER (PARTITION BY w.subject) + row_number() OVER (PARTITION BY w.subject ORDER BY w.n),
        w.id, w.header::jsonb, w.data
    FROM unnest(subjects, ids, headers, payloads) WITH ORDINALITY w (subject, id, header, data, n)
    JOIN outbox.subjects counter ON counter.subject = w.subject COLLATE "C"
    ORDER BY w.n;
END
$$;

-- write writes one event, with a payload of any form. It is for programs in other
-- languages that have a CloudEvent as bytes.
CREATE FUNCTION outbox.write(subject text, id text, header jsonb, payload bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM outbox.write_all(ARRAY[subject], ARRAY[id], ARRAY[header::text], ARRAY[payload]);
END
$$;

-- write writes one event that is a JSON object: a CloudEvent, of which type, source
-- and data have to be there. specversion, id (a random UUID), time (now),
-- partitionkey and datacontenttype are filled in where they are missing. It gives
-- the event's id. It is for triggers.
--
-- PostgreSQL's jsonb orders the members of objects, and writes numbers its own way:
-- where the letters of metadata and flags matter, write bytes.
CREATE FUNCTION outbox.write(subject text, event jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key  text := substring(subject FROM '[^.]*$');
    full_event jsonb;
BEGIN
    IF jsonb_typeof(event) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'outbox.write: the event is %, and has to be a JSON object', coalesce(jsonb_typeof(event), 'null') USING ERRCODE = '22023';
    END IF;
    full_event := jsonb_build_object('specversion', '1.0', 'id', gen_random_uuid(), 'partitionkey', key,
        'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'datacontenttype', 'application/json')
        || jsonb_strip_nulls(event - 'data') || jsonb_build_object('data', coalesce(nullif(event -> 'data', 'null'), '{}'));
    IF jsonb_typeof(full_event -> 'type') IS DISTINCT FROM 'string' OR full_event ->> 'type' = '' THEN
        RAISE EXCEPTION 'outbox.write: the event has no type: it has to be a text such as controlplane.user.registered.v1' USING ERRCODE = '22023';
    END IF;
    IF jsonb_typeof(full_event -> 'source') IS DISTINCT FROM 'string' OR full_event ->> 'source' = '' THEN
        RAISE EXCEPTION 'outbox.write: the event has no source: it has to be a text such as /control-plane/api' USING ERRCODE = '22023';
    END IF;
    IF jsonb_typeof(full_event -> 'id') IS DISTINCT FROM 'string' OR full_event ->> 'id' = '' THEN
        RAISE EXCEPTION 'outbox.write: the event''s id is %: it has to be a text, another one for each event', full_event -> 'id' USING ERRCODE = '22023';
    END IF;
    IF full_event ->> 'partitionkey' IS DISTINCT FROM key THEN
        RAISE EXCEPTION 'outbox.write: the event''s partitionkey is %, and its subject %', full_event -> 'partitionkey', subject USING ERRCODE = '22023';
    END IF;
    IF full_event ->> 'specversion' IS DISTINCT FROM '1.0' OR jsonb_typeof(full_event -> 'data') <> 'object' OR full_event -> 'data_base64' IS NOT NULL THEN
        RAISE EXCEPTION 'outbox.write: the event has to be a CloudEvent 1.0 of which data is a JSON object' USING ERRCODE = '22023';
    END IF;
    PERFORM outbox.write_all(ARRAY[subject], ARRAY[full_event ->> 'id'], ARRAY['{"Content-Type": ["application/cloudevents+json"]}'],
        ARRAY[convert_to(full_event::text, 'UTF8')]);
    RETURN full_event ->> 'id';
END
$$;

-- forget removes what waits of a subject, as an erasure needs it, and returns when
-- nothing of it is on its way any more: the relay holds this lock, of which the number
-- is the letters outboxw, while it publishes what it has fetched. It is called outside
-- of a transaction, by a role that may delete from outbox.messages.
CREATE PROCEDURE outbox.forget(forgotten text) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM outbox.messages m WHERE m.subject = forgotten COLLATE "C";
    COMMIT;
    PERFORM pg_catalog.pg_advisory_xact_lock(31372865143011447);
END
$$;

-- Whoever writes events needs USAGE on the schema, and EXECUTE on these.
REVOKE ALL ON FUNCTION outbox.write_all(text[], text[], text[], bytea[]), outbox.write(text, text, jsonb, bytea), outbox.write(text, jsonb) FROM PUBLIC;
