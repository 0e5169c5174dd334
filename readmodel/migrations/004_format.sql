-- Taken: storage format 2 comes with this number.

SELECT;
