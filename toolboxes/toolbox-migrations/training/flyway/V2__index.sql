CREATE INDEX CONCURRENTLY sample_name ON sample (name);
