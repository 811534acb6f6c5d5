-- A line's units may have been added to the cart at several prices; each costs what was shown then.

-- Unit price in minor units and units, the dearest first: [[2500, 3], [1000, 1]]. Null: all units cost unit_price_minor, as in
-- rows of before there were several. Otherwise unit_price_minor is the dearest, and the units add up to quantity.
alter table order_line add column prices jsonb,
    add constraint order_line_prices_are_several
        check (prices is null or jsonb_typeof(prices) = 'array' and jsonb_array_length(prices) > 1);

-- What is paid back for the returned units, which depends on which units came back before. Null in rows of before there were
-- several prices: then it is their number times the line's unit price.
alter table order_return_line add column amount_minor bigint,
    add constraint order_return_line_amount_positive check (amount_minor > 0);
