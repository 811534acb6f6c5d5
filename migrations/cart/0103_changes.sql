-- What a cart process follows by logical decoding, in a temporary slot of its own, to know which carts have changed, whoever changed them:
-- every table that a visible cart is made of. Only keys go out (column lists need PostgreSQL 15). A deleted checkout's key tells its
-- order and not its cart; our code deletes none.
create publication cart_changes for table
    cart (cart_id),
    cart_line (cart_id, offer_id),
    cart_checkout (order_id, cart_id),
    cart_ordered_twice (cart_id, offer_id, first_order_id, second_order_id);
