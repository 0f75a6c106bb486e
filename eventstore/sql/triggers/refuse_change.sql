-- What has happened cannot be altered, whoever asks: the rule holds for the owner of the table as well.
CREATE FUNCTION refuse_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never altered or removed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Correct the books by new events, such as a reversal.';
END
$$;
