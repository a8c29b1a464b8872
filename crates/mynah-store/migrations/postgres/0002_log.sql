-- The log as a whole. `epoch` says which life of it this is: a random number, anew when an earlier state was
-- restored.
CREATE TABLE mynah.logs (id integer PRIMARY KEY, epoch bigint NOT NULL);
INSERT INTO mynah.logs (id, epoch)
VALUES (1, ('x' || substr(replace(gen_random_uuid()::text, '-', ''), 17))::bit(64)::bigint);

-- To be called once after a backup was restored, while no node runs: clients that have seen more than the backup
-- has are told to read anew, and places that they may have seen (a trillion) are left out. Answers the epoch.
CREATE FUNCTION mynah.begin_log() RETURNS text LANGUAGE sql AS $$
  SELECT setval('mynah.log_blocks', last_value + 268435456) FROM mynah.log_blocks;
  UPDATE mynah.logs SET epoch = ('x' || substr(replace(gen_random_uuid()::text, '-', ''), 17))::bit(64)::bigint
  WHERE id = 1 RETURNING lpad(to_hex(epoch), 16, '0');
$$;
