-- The document's three tables; `amount` (what was paid) is ours.
CREATE TABLE IF NOT EXISTS users (
    user_id     integer PRIMARY KEY,
    signup_date date NOT NULL,
    country     text
);
CREATE TABLE IF NOT EXISTS products (
    product_id integer PRIMARY KEY,
    category   text NOT NULL,
    price      numeric(10, 2) NOT NULL CHECK (price >= 0)
);
CREATE TABLE IF NOT EXISTS events (
    user_id    integer NOT NULL REFERENCES users,
    event_type text NOT NULL CHECK (event_type IN ('viewed', 'add-to-cart', 'purchased')),
    product_id integer NOT NULL REFERENCES products,
    timestamp  timestamp NOT NULL,
    amount     numeric(10, 2) CHECK (amount >= 0)
);
