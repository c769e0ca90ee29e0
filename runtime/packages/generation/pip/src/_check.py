"""pip check."""

from pip._installed import distributions, name_of
from pip._requirements import needs


def check_command(_args):
    dists = distributions()
    broken = 0
    for dist in dists.values():
        for need in sorted(needs(dist), key=lambda need: need.key):
            there = dists.get(need.key)
            if there is None:
                print("{} {} requires {}, which is not installed.".format(canonical_name(dist), dist.version, need.key))
            elif not need.met_by(there.version):
                print("{} {} has requirement {}, but you have {} {}.".format(canonical_name(dist), dist.version, need, need.key, there.version))
            else:
                continue
            broken += 1
    if not broken:
        print("No broken requirements found.")
    return 1 if broken else 0


def canonical_name(dist):
    from pip._installed import canonical

    return canonical(name_of(dist))
