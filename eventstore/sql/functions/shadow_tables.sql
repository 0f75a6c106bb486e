-- Tables of the next generation of a read model are made in the schema "shadow", filled there under the names that
-- they have in "public", and swapped with those: the replaced ones stay in the schema "previous" for going back.
--
-- These functions run with the rights of the owner of the tables and touch tables of registered read models alone.
CREATE SCHEMA shadow;
CREATE SCHEMA previous;

CREATE TABLE read_model_tables (name text PRIMARY KEY);

CREATE FUNCTION require_read_model_table(table_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM read_model_tables r WHERE r.name = require_read_model_table.table_name) THEN
        RAISE EXCEPTION '% is not a table of a read model', table_name USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- An empty copy of public.table_name in shadow, with the same columns, constraints, indexes (and their names).
CREATE FUNCTION create_shadow(table_name text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    _pair record;
BEGIN
    PERFORM require_read_model_table(table_name);
    EXECUTE format('DROP TABLE IF EXISTS shadow.%I', table_name);
    EXECUTE format('CREATE TABLE shadow.%1$I (LIKE public.%1$I INCLUDING ALL)', table_name);
    FOR _pair IN
        SELECT made.relname AS made_name, live.relname AS live_name
          FROM pg_index mi
          JOIN pg_class made ON made.oid = mi.indexrelid
          JOIN pg_index li ON li.indrelid = format('public.%I', table_name)::regclass
          JOIN pg_class live ON live.oid = li.indexrelid
         WHERE mi.indrelid = format('shadow.%I', table_name)::regclass
           AND replace(replace(pg_get_indexdef(mi.indexrelid), 'shadow.', 'public.'), quote_ident(made.relname), '')
             = replace(pg_get_indexdef(li.indexrelid), quote_ident(live.relname), '')
           AND made.relname <> live.relname
    LOOP
        EXECUTE format('ALTER INDEX shadow.%I RENAME TO %I', _pair.made_name, _pair.live_name);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON shadow.%I TO banking_es_app', table_name);
    END IF;
END
$$;

-- Puts the table of schema source into public, and the one that was there into schema target.
CREATE FUNCTION swap_table(table_name text, source text, target text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM require_read_model_table(table_name);
    IF (source, target) NOT IN (('shadow', 'previous'), ('previous', 'shadow')) THEN
        RAISE EXCEPTION 'tables go from shadow to previous or back' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I.%I', target, table_name);
    EXECUTE format('ALTER TABLE public.%I SET SCHEMA %I', table_name, target);
    EXECUTE format('ALTER TABLE %I.%I SET SCHEMA public', source, table_name);
END
$$;

CREATE FUNCTION drop_shadow(table_name text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM require_read_model_table(table_name);
    EXECUTE format('DROP TABLE IF EXISTS shadow.%I', table_name);
END
$$;
