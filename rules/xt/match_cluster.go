package xt

import (
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

const clusterNodesMax = 32 // XT_CLUSTER_NODES_MAX

// cluster is struct xt_cluster_match_info.
type cluster struct{ total, nodes, seed, flags uint32 }

func decodeCluster(_ *Context, r *reader) Extension {
	x := &cluster{r.u32(), r.u32(), r.u32(), r.u32()}
	if x.total > clusterNodesMax || x.flags&^1 != 0 {
		r.fail("cluster: %d nodes, flags %#x", x.total, x.flags)
	}
	return x
}

func (x *cluster) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Cluster{Span: c.Span, Total: x.total, Nodes: x.nodes, Seed: x.seed, Invert: x.flags != 0}}
}

func (x *cluster) Save(_ *Context, o *Options) {
	o.Opt(x.flags != 0, "--cluster-local-nodemask", fmt.Sprintf("0x%08x", x.nodes))
	o.Word("--cluster-total-nodes", strconv.Itoa(int(x.total)), "--cluster-hash-seed", fmt.Sprintf("0x%08x", x.seed))
}
