-- Who looked at which account, and who did what: a line for each look and each act
-- of an operator, by the command line or the console. It is written before anything
-- is shown or done. It is outside the generations and outlives them, and nobody but
-- the projector sees it. It holds no value of an event, no address and no free text.
CREATE TABLE export.audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    who     text NOT NULL,
    through text NOT NULL CHECK (through IN ('console', 'command line')),
    what    text NOT NULL,                 -- a word of a closed list, such as account.viewed
    account uuid,                          -- NULL: it was about no one account, or about one that was erased since
    detail  text NOT NULL,                 -- positions, counts, generations and types
    outcome text NOT NULL CHECK (outcome IN ('begun', 'done', 'refused', 'failed'))
) WITH (fillfactor = 90); -- room for the outcome, which no index holds

CREATE INDEX audit_account ON export.audit (account, id) WHERE account IS NOT NULL;
CREATE INDEX audit_who ON export.audit (who, id);
CREATE INDEX audit_what ON export.audit (what, id);
CREATE INDEX audit_at ON export.audit (at, id);

-- No line but that of an erasure itself names an account that is on the ledger of
-- erasures, whoever writes it. The lock, which is the account's and that of some
-- others, is held until the line is committed. Whoever erases an account takes the
-- same one, exclusively, before taking the account out of the lines: so each line
-- that was begun before is found, and one that is begun later finds the ledger's
-- entry, since each statement in here sees what was committed by the time that the
-- lock was had.
CREATE FUNCTION export.audit_forget_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('accountexport audit'), hashtext(NEW.account::text) & 15);
    IF EXISTS (SELECT FROM export.erasures WHERE account_id = NEW.account) THEN
        NEW.account := NULL;
    END IF;
    RETURN NEW;
END
$$;

REVOKE ALL ON FUNCTION export.audit_forget_erased FROM PUBLIC;

CREATE TRIGGER audit_forget_erased BEFORE INSERT ON export.audit FOR EACH ROW
    WHEN (NEW.account IS NOT NULL AND NEW.what <> 'account.erase') EXECUTE FUNCTION export.audit_forget_erased();
