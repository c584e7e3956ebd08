"""Tables of the state. What a table means to whom is said in docs/adr/0017-the-state-is-memory.md.

Objects of the sources and of the tenant have small numbers, `guids.id` and `anchors.id`: links are
pairs of them. `object`, `owner`, `target` and `parent` of the source space are numbers of guids;
`anchor`, and `owner` and `member` of the cloud space, of the plan and of `changed_pairs` are
numbers of anchors.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = 2
"""Version of the state; `migrations` brings older ones here."""


class Kind(IntEnum):
    """What an object of a source is."""

    OTHER = 0
    USER = 1
    GROUP = 2
    CONTACT = 3
    CONTAINER = 4


class Part(IntEnum):
    """What of a cloud object a change is about."""

    OBJECT = 0
    REFERENCES = 1
    LINKS = 2


MEMBER: Final = 0
"""Number of the attribute `member` in `source_references`."""

TABLES: Final = """
-- facts
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- names as numbers; a GUID is 16 bytes, as uuid.UUID(...).bytes; never removed while anything
-- may still refer to it
CREATE TABLE guids (id INTEGER PRIMARY KEY, guid BLOB NOT NULL UNIQUE);
CREATE TABLE anchors (id INTEGER PRIMARY KEY, anchor TEXT NOT NULL UNIQUE);

-- source space: all sources of the sync together
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,       -- spec.sources[].name
    rank INTEGER,                    -- place in spec.sources; NULL when it is named no longer
    domain TEXT NOT NULL DEFAULT ''  -- DNS name
);
CREATE TABLE source_objects (
    id INTEGER PRIMARY KEY,          -- guids.id
    source INTEGER NOT NULL,
    parent INTEGER,                  -- guids.id of its container; NULL at the root
    kind INTEGER NOT NULL,           -- Kind
    dn TEXT NOT NULL,                -- as last told; stale below a renamed container
    sid BLOB,                        -- objectSid
    attributes TEXT NOT NULL,        -- rows.encode_attributes
    seen INTEGER NOT NULL            -- number of the full read that wrote it last
);
CREATE INDEX source_objects_parent ON source_objects (parent);
CREATE INDEX source_objects_source ON source_objects (source, seen);
CREATE INDEX source_objects_sid ON source_objects (sid) WHERE sid IS NOT NULL;
-- attributes that name other objects, member among them (attribute 0); ends out of scope included
CREATE TABLE reference_attributes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO reference_attributes VALUES (0, 'member');
CREATE TABLE source_references (
    owner INTEGER NOT NULL, attribute INTEGER NOT NULL, target INTEGER NOT NULL,
    PRIMARY KEY (owner, attribute, target)
) WITHOUT ROWID;
CREATE INDEX source_references_target ON source_references (target, attribute, owner);
-- ends that are foreign security principals stand for the object with the same SID
CREATE TABLE foreign_principals (id INTEGER PRIMARY KEY, sid BLOB NOT NULL);
CREATE INDEX foreign_principals_sid ON foreign_principals (sid);

-- what an import changed, until it was evaluated
CREATE TABLE changed_objects (object INTEGER PRIMARY KEY);
CREATE TABLE changed_links (
    owner INTEGER NOT NULL, target INTEGER NOT NULL, PRIMARY KEY (owner, target)
) WITHOUT ROWID;

-- users without mS-DS-ConsistencyGuid that are to be looked at, where anchors are stamped; kept
-- only while they are
CREATE TABLE unstamped (object INTEGER PRIMARY KEY);

-- evaluation: every user, group and contact below the containers of its source's scope
CREATE TABLE parts (
    object INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    rule TEXT,                       -- name of what leaves it out; NULL when it takes part
    computed INTEGER,                -- anchor that its own attributes give
    anchor INTEGER,                  -- cloud object it belongs to; NULL when left out
    withheld TEXT,                   -- reason why that one is left as it is
    message TEXT                     -- what to do about it
);
CREATE INDEX parts_anchor ON parts (anchor) WHERE anchor IS NOT NULL;
CREATE INDEX parts_computed ON parts (computed) WHERE computed IS NOT NULL;
CREATE INDEX parts_rule ON parts (rule, kind);
CREATE INDEX parts_withheld ON parts (withheld) WHERE withheld IS NOT NULL;
CREATE TABLE join_keys (
    key TEXT NOT NULL, object INTEGER NOT NULL, PRIMARY KEY (key, object)
) WITHOUT ROWID;
CREATE INDEX join_keys_object ON join_keys (object);

-- unique values that wanted objects take (64 bits of a hash), and what is in the way of an object
CREATE TABLE claims (
    value INTEGER NOT NULL, anchor INTEGER NOT NULL,
    property INTEGER NOT NULL,       -- which one takes it: 0 user principal name, 1 address, 2 mail
    PRIMARY KEY (value, anchor)
) WITHOUT ROWID;
CREATE INDEX claims_anchor ON claims (anchor);
CREATE TABLE conflicts (anchor INTEGER PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL);

-- what must be compared again, until it was
CREATE TABLE changed_anchors (anchor INTEGER PRIMARY KEY);
CREATE TABLE changed_pairs (
    owner INTEGER NOT NULL, member INTEGER NOT NULL, PRIMARY KEY (owner, member)
) WITHOUT ROWID;

-- cloud space
CREATE TABLE cloud_objects (
    anchor INTEGER PRIMARY KEY,
    type TEXT NOT NULL,              -- SyncObjectType
    cloud_anchor TEXT,
    guid BLOB,                       -- objectGUID it came from; NULL while it is not owned
    identifier BLOB,                 -- objectGUID as the tenant remembers it (uuid.UUID.bytes too)
    owned INTEGER NOT NULL,
    cloud_managed INTEGER NOT NULL DEFAULT 0,  -- its source of authority is the cloud
    links INTEGER NOT NULL DEFAULT 0,          -- rows of cloud_links with this owner
    properties TEXT NOT NULL         -- rows.encode_properties
);
CREATE INDEX cloud_objects_owned ON cloud_objects (owned, type, links);
CREATE INDEX cloud_objects_identifier ON cloud_objects (identifier) WHERE identifier IS NOT NULL;
CREATE INDEX cloud_objects_cloud_anchor ON cloud_objects (cloud_anchor)
    WHERE cloud_anchor IS NOT NULL;
CREATE TABLE cloud_links (
    owner INTEGER NOT NULL, member INTEGER NOT NULL, PRIMARY KEY (owner, member)
) WITHOUT ROWID;
CREATE INDEX cloud_links_member ON cloud_links (member, owner);
-- memberships of deleted users: the service gives them back when it restores the user
CREATE TABLE deleted_links (
    member INTEGER NOT NULL, owner INTEGER NOT NULL, PRIMARY KEY (member, owner)
) WITHOUT ROWID;
CREATE INDEX deleted_links_owner ON deleted_links (owner);
-- objects that are no users, groups or contacts but may be members: devices
CREATE TABLE cloud_aliases (
    cloud_anchor TEXT PRIMARY KEY, anchor INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX cloud_aliases_anchor ON cloud_aliases (anchor);
CREATE TABLE pins (guid BLOB PRIMARY KEY, anchor INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX pins_anchor ON pins (anchor);
-- owned properties and links of which a read-back said something else than was exported
CREATE TABLE drift (
    anchor INTEGER NOT NULL,
    key TEXT NOT NULL,               -- property; or member:<anchor number>
    told TEXT NOT NULL,              -- what the tenant said, rows.to_storable as JSON
    exported TEXT NOT NULL,          -- what we had exported, the same way
    times INTEGER NOT NULL,          -- how often the same value did not stay
    PRIMARY KEY (anchor, key)
) WITHOUT ROWID;

-- what must change for the cloud to be as it should be
CREATE TABLE pending (
    anchor INTEGER NOT NULL,
    part INTEGER NOT NULL,           -- Part.OBJECT or Part.REFERENCES
    action TEXT NOT NULL,            -- changes.Action
    type TEXT NOT NULL,              -- SyncObjectType
    guid BLOB,
    properties TEXT NOT NULL,        -- to be written
    previous TEXT NOT NULL,          -- values these replace
    why TEXT NOT NULL DEFAULT '{}',  -- JSON: property -> flow that says so; '' -> of the whole
    PRIMARY KEY (anchor, part)
) WITHOUT ROWID;
CREATE INDEX pending_action ON pending (action, type);
CREATE TABLE pending_links (
    owner INTEGER NOT NULL, member INTEGER NOT NULL, adds INTEGER NOT NULL,
    PRIMARY KEY (owner, member)
) WITHOUT ROWID;
-- owned objects that are wanted no longer; nothing happens to them without evidence
CREATE TABLE candidates (anchor INTEGER PRIMARY KEY, evidence TEXT);
-- what the service refused, until it takes it
CREATE TABLE failures (
    anchor INTEGER NOT NULL, part INTEGER NOT NULL,
    code TEXT NOT NULL, message TEXT NOT NULL,
    attempts INTEGER NOT NULL, first_time TEXT NOT NULL, next_try TEXT NOT NULL,
    wanted BLOB NOT NULL,            -- fingerprint of what was refused; something else is tried now
    PRIMARY KEY (anchor, part)
) WITHOUT ROWID;

-- the plan of this run: pending changes in the order they are sent
CREATE TABLE plan (
    position INTEGER PRIMARY KEY,
    anchor INTEGER NOT NULL, part INTEGER NOT NULL,
    action TEXT NOT NULL, type TEXT NOT NULL,
    phase INTEGER NOT NULL, step INTEGER NOT NULL DEFAULT 0,
    temporary TEXT,                  -- what is let go of for a moment, rows.encode_properties
    fingerprint BLOB NOT NULL,       -- names exactly this change
    deletes INTEGER NOT NULL DEFAULT 0, disables INTEGER NOT NULL DEFAULT 0,
    identity INTEGER NOT NULL DEFAULT 0, clears INTEGER NOT NULL DEFAULT 0,
    takeovers INTEGER NOT NULL DEFAULT 0,
    links INTEGER NOT NULL DEFAULT 0, removals INTEGER NOT NULL DEFAULT 0,
    orphan INTEGER NOT NULL DEFAULT 0,  -- deletes what is not owned: always needs an approval
    outcome TEXT,                    -- of an addition: create, hardMatch, softMatch, restore, ...
    braked TEXT,                     -- reason of the brake that stops it
    held TEXT                        -- reason why it is not sent in this run
);
CREATE INDEX plan_anchor ON plan (anchor, part);
CREATE INDEX plan_held ON plan (held) WHERE held IS NOT NULL;

-- brakes and approvals
CREATE TABLE spent (time TEXT NOT NULL, sort TEXT NOT NULL, count INTEGER NOT NULL);
CREATE INDEX spent_time ON spent (time);
CREATE TABLE braked_sets (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, time TEXT NOT NULL
);
CREATE TABLE braked_changes (
    braked_set INTEGER NOT NULL, fingerprint BLOB NOT NULL, PRIMARY KEY (braked_set, fingerprint)
) WITHOUT ROWID;
CREATE TABLE braked_links (
    braked_set INTEGER NOT NULL, owner INTEGER NOT NULL, member INTEGER NOT NULL,
    PRIMARY KEY (braked_set, owner, member)
) WITHOUT ROWID;
-- used is '' until it was used
CREATE TABLE approvals (digest TEXT PRIMARY KEY, used TEXT NOT NULL, until TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE approved (fingerprint BLOB NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (fingerprint, digest)) WITHOUT ROWID;
CREATE INDEX approved_digest ON approved (digest);
CREATE TABLE approved_links (
    owner INTEGER NOT NULL, member INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (owner, member, digest)
) WITHOUT ROWID;

-- results and plans of earlier runs; nothing asks for harvested any more, and it stays so that an
-- earlier image, put back, can use the state
CREATE TABLE results (
    run TEXT PRIMARY KEY, time TEXT NOT NULL, result TEXT NOT NULL,
    harvested INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE plans (
    run TEXT PRIMARY KEY, time TEXT NOT NULL, digest TEXT NOT NULL, head TEXT NOT NULL
);
CREATE TABLE plan_lines (
    run TEXT NOT NULL, number INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (run, number)
) WITHOUT ROWID;
"""
