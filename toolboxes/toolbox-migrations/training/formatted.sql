--liquibase formatted sql

--changeset slipway:formatted
CREATE TABLE other (id bigint PRIMARY KEY, body jsonb NOT NULL);
--rollback DROP TABLE other;
