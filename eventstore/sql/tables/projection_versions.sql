-- Which version of a projection's code filled the tables that an undo puts back. NULL where there are none.
ALTER TABLE projections ADD COLUMN previous_code_version integer;
