-- Another change has this number; this file stands for it until then.
SELECT 1;
