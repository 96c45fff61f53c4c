-- What an operator may name by its id alone.

CREATE INDEX api_keys_by_id ON api_keys (key_id);
CREATE INDEX operations_by_id ON operations (operation_id);
