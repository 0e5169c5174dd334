-- Erasures that were begun, or came with an imported ledger, and are not proven
-- to be done here: in every generation of this database, and in the stream. The
-- addresses are what is needed to find what is left of the person once their
-- messages are gone; they go with the entry, when it is proven.
CREATE TABLE export.erasures_owed (
    account_id uuid PRIMARY KEY,
    emails     text[] NOT NULL DEFAULT '{}',
    anew       boolean NOT NULL,              -- `projector accept` carries it out, and until then nothing is folded
    done       boolean NOT NULL DEFAULT false, -- here; copies of the stream keep what they have
    began_at   timestamptz NOT NULL DEFAULT now()
);
