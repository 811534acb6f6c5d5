-- The delivery address: in the cart's row and not in a table of its own, since it is assigned under the cart's lock, moves its version
-- on, and is read with every cart that is shown.

alter table cart
    -- The encoded register: the address, or the concurrent ones between which the shopper has not chosen yet; one per replica at most.
    -- What was replaced keeps its dot and not its text. The default is the one form of a register that was never touched (format
    -- version 1, no siblings), so that regions which agree hold the same bytes. An edit of a line neither reads nor writes it.
    add column address bytea not null default '\x0100';
