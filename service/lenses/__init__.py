"""One algebra of column changes.

The store keeps one form of each record, the canonical one, whatever its owner renames or hides later. A
change is a list of operations (`rename`, `cast`, `hide`, `add`, `map`), each a lens: it tells how a client
that knows of the change sees a column, and how what such a client writes is stored. All changes up to a day
compose to one `View`, a table of columns (where each is stored, which steps its values take), so that ten
renames cost what one does.

Two laws hold for every view, and are property-tested: writing back what was read changes nothing (get-put),
and what was written is what is read (put-get).
"""
