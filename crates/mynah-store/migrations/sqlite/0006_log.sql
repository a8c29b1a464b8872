-- The log as a whole. `epoch` says which life of it this is (a random number, anew when an earlier state is
-- restored); positions up to `pos_floor` are never given again, whether their events are there or not.
CREATE TABLE logs (
  id INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  pos_floor INTEGER NOT NULL
);
INSERT INTO logs (id, epoch, pos_floor) VALUES (1, random(), 0);
