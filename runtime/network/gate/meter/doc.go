// Package meter holds an environment's connections to its limits: how many are
// open, how many are new, how fast bytes go, and how many go at all.
//
//	connection ─▶ Open ─▶ max and rate of the environment and of the rule, quota of the rule
//	                │ no: a LimitError, which says which limit, and how to raise it
//	                ▼
//	              Flow ─▶ Take before each piece: quota, then a place in the line of the rule's
//	                │     bucket, then one in that of the environment's
//	                └───▶ Close
//
// Limits change while connections are open (Use): whoever waits goes on at the new
// pace, and who need not have waited until now is woken. What quotas have left is
// kept by a Store; if that can't be read, rules with a quota carry nothing.
package meter
