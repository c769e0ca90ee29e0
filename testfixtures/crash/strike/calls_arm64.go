package strike

// own are the calls that only this architecture has: none.
var own map[uint64]form
