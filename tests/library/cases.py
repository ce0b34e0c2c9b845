"""Which crash each runbook with a guilty function is about, and what comes near it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEMORY = ("null-deref", "page-fault", "gpf", "sanitizer", "double-free")
"""What a fault in memory looks like; a double free is of kind bug."""
ANY = (*MEMORY, "warning")
"""The same for a runbook that offers nothing: it may be broader."""
STALL = ("soft-lockup", "rcu-stall", "hard-lockup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``functions`` are guilty ones (``f@module``), each with its callers, innermost first.

    ``near`` are others of the same subsystem, ``other`` is a kind that the runbook is not about (''
    where it is about all), ``renamed`` what compilers and syscall wrappers make of the last one.
    """

    functions: Mapping[str, str]
    near: Mapping[str, str]
    kinds: tuple[str, ...] = MEMORY
    other: str = "hard-lockup"
    where: str = "syscall"
    comm: str = "nginx"
    source: str = "mm/slub.c:305"
    renamed: str = "{}.isra.0"


TCP_ACK = "tcp_sacktag_write_queue tcp_ack tcp_rcv_established tcp_v4_do_rcv tcp_v4_rcv ip_local_deliver_finish"
TCP_IN = "tcp_rcv_established tcp_v4_do_rcv tcp_v4_rcv ip_local_deliver_finish ip_rcv"
NETLINK = "rtnetlink_rcv_msg netlink_rcv_skb netlink_unicast netlink_sendmsg ____sys_sendmsg __sys_sendmsg"
NFT = "nfnetlink_rcv_batch@nfnetlink nfnetlink_rcv@nfnetlink netlink_unicast netlink_sendmsg __sys_sendmsg"
TC = f"tc_new_tfilter {NETLINK}"
TC_DEL = f"tc_del_tfilter {NETLINK}"
QDISC = f"tc_ctl_tclass {NETLINK}"
BPF = "bpf_check bpf_prog_load __sys_bpf __x64_sys_bpf"
TIPC = "tipc_link_proto_rcv@tipc tipc_link_rcv@tipc tipc_rcv@tipc tipc_udp_recv@tipc udp_queue_rcv_one_skb"
HDLC = "hdlc_rcv@hdlc __netif_receive_skb_core __netif_receive_skb_one_core"
BLUE = "hci_rx_work@bluetooth"
ESP4 = "esp_output_tail@esp4 esp_output@esp4 xfrm_output_resume xfrm_output ip_output"
ESP6 = "esp6_output_tail@esp6 esp6_output@esp6 xfrm_output_resume xfrm_output ip6_output"
PERF = "event_function remote_function generic_exec_single smp_call_function_single"
OPEN = "perf_event_alloc inherit_event inherit_task_group perf_event_init_task copy_process"

CASES: dict[str, Case] = {
    "tcp-sack-panic": Case(
        functions={"tcp_shifted_skb": f"tcp_sacktag_walk {TCP_ACK}"},
        near={"tcp_retransmit_skb": TCP_IN, "tcp_skb_collapse_tstamp": TCP_ACK},
        kinds=("bug", "bug", "bug"), other="null-deref", where="softirq",
        source="net/ipv4/tcp_input.c:1312", renamed="{}.cold",
    ),
    "tcp-sack-slowness": Case(
        functions={"tcp_fragment": f"tcp_retransmit_skb tcp_xmit_retransmit_queue {TCP_IN}"},
        near={"tcp_write_xmit": TCP_IN, "tcp_trim_head": TCP_IN},
        kinds=STALL, other="null-deref", where="softirq",
        renamed="{}.part.0",
    ),
    "tcp-low-mss": Case(
        functions={
            "tcp_mtu_probing": "tcp_write_timeout tcp_retransmit_timer tcp_write_timer_handler",
            "__tcp_mtu_to_mss": f"tcp_mtu_to_mss tcp_sync_mss {TCP_IN}",
        },
        near={"tcp_mtu_check_reprobe": TCP_IN, "tcp_mtup_init": TCP_IN},
        kinds=STALL, other="warning", where="softirq",
    ),
    "ip-fragments": Case(
        functions={
            "ip_frag_queue": "ip_defrag ip_local_deliver ip_rcv_finish ip_rcv",
            "ip6_frag_queue": "ipv6_frag_rcv ip6_input_finish ip6_input ipv6_rcv",
        },
        near={"ip_frag_reasm": "ip_defrag ip_local_deliver ip_rcv_finish", "ip_fragment": "ip_output"},
        kinds=STALL, other="null-deref", where="softirq",
    ),
    "ipv6-rpl": Case(
        functions={"ipv6_rpl_srh_rcv": "ipv6_rthdr_rcv ip6_protocol_deliver_rcu ip6_input_finish"},
        near={"ipv6_srh_rcv": "ipv6_rthdr_rcv ip6_protocol_deliver_rcu", "ip6_finish_output2": "ip6_output"},
        kinds=("skb-panic", "sanitizer", "page-fault"), other="hard-lockup", where="softirq",
    ),
    "tcp-estats-update-mss": Case(
        functions={"tcp_estats_update_mss": "tcp_sync_mss tcp_v4_mtu_reduced tcp_v4_err icmp_unreach icmp_rcv"},
        near={"tcp_sync_mss": "tcp_v4_mtu_reduced tcp_v4_err icmp_unreach", "tcp_estats_update_acked": TCP_IN},
        kinds=("null-deref", "page-fault", "gpf"), other="hard-lockup", where="softirq",
        renamed="{}.constprop.1",
    ),
    "tcp-ofo-queue": Case(
        functions={
            "tcp_collapse_ofo_queue": f"tcp_prune_queue tcp_try_rmem_schedule tcp_data_queue {TCP_IN}",
            "tcp_prune_ofo_queue": f"tcp_try_rmem_schedule tcp_data_queue {TCP_IN}",
        },
        near={"tcp_prune_queue": f"tcp_data_queue {TCP_IN}", "tcp_collapse_one": TCP_IN},
        kinds=STALL, other="", where="softirq",
    ),
    "packet-set-ring": Case(
        functions={"packet_set_ring": "packet_setsockopt __sys_setsockopt __x64_sys_setsockopt"},
        near={"packet_rcv": "dev_queue_xmit_nit dev_hard_start_xmit", "packet_setsockopt": "__sys_setsockopt"},
        kinds=ANY, comm="capture",
    ),
    "tpacket-rcv": Case(
        functions={"tpacket_rcv": "dev_queue_xmit_nit dev_hard_start_xmit __dev_queue_xmit packet_sendmsg"},
        near={"packet_rcv_fanout": "dev_queue_xmit_nit dev_hard_start_xmit", "tpacket_snd": "packet_sendmsg"},
        comm="sniffer",
    ),
    "esp-output-head": Case(
        functions={"esp_output_head@esp4": ESP4, "esp6_output_head@esp6": ESP6},
        near={"esp_input_done2@esp4": "esp_input@esp4 xfrm_input", "esp6_output_tail@esp6": "esp6_output@esp6"},
        comm="iperf3",
    ),
    "rds-tcp-kill-sock": Case(
        functions={"rds_tcp_kill_sock@rds_tcp": "rds_tcp_exit_net@rds_tcp ops_exit_list cleanup_net"},
        near={"rds_tcp_accept_one@rds_tcp": "rds_tcp_accept_worker@rds_tcp", "rds_conn_destroy@rds": "rds_tcp_exit@rds_tcp"},
        kinds=ANY, where="thread", comm="kworker/u8:1",
    ),
    "route4-change": Case(
        functions={"route4_change@cls_route": TC},
        near={"basic_change@cls_basic": TC, "route4_delete@cls_route": TC_DEL},
        kinds=ANY, comm="tc",
    ),
    "tcindex-delete": Case(
        functions={"tcindex_delete@cls_tcindex": TC_DEL},
        near={"tcindex_set_parms@cls_tcindex": TC, "fw_delete@cls_fw": TC_DEL},
        comm="tc",
    ),
    "qfq-change-class": Case(
        functions={"qfq_change_class@sch_qfq": QDISC},
        near={"hfsc_change_class@sch_hfsc": QDISC, "qfq_enqueue@sch_qfq": "__dev_queue_xmit ip_finish_output2"},
        comm="tc",
    ),
    "sctp-make-chunk": Case(
        functions={"_sctp_make_chunk@sctp": "sctp_make_control@sctp sctp_make_init@sctp sctp_sf_do_prm_asoc@sctp sctp_do_sm@sctp"},
        near={"sctp_sendmsg@sctp": "inet_sendmsg sock_sendmsg", "sctp_make_abort@sctp": "sctp_sf_do_9_1_prm_abort@sctp"},
        kinds=("skb-over-panic", *MEMORY[:4], "warning"), comm="sctp_peer",
    ),
    "tcpmss-mangle-packet": Case(
        functions={"tcpmss_mangle_packet@xt_TCPMSS": "tcpmss_tg4@xt_TCPMSS ipt_do_table@ip_tables nf_hook_slow ip_forward"},
        near={"ipt_do_table@ip_tables": "nf_hook_slow ip_forward", "tcpmss_tg4@xt_TCPMSS": "ipt_do_table@ip_tables nf_hook_slow"},
        kinds=ANY, where="softirq",
    ),
    "nft-verdict-init": Case(
        functions={"nft_verdict_init@nf_tables": f"nft_data_init@nf_tables nft_immediate_init@nf_tables nf_tables_newrule@nf_tables {NFT}"},
        near={"nft_chain_parse_hook@nf_tables": f"nf_tables_addchain@nf_tables {NFT}", "nft_setelem_parse_data@nf_tables": NFT},
        comm="nft",
    ),
    "dccp-rcv-state-process": Case(
        functions={"dccp_rcv_state_process@dccp": "dccp_v6_do_rcv@dccp_ipv6 dccp_v6_rcv@dccp_ipv6 ip6_input_finish"},
        near={"dccp_rcv_established@dccp": "dccp_v4_do_rcv@dccp_ipv4 dccp_v4_rcv@dccp_ipv4", "dccp_close@dccp": "inet_release"},
        where="softirq",
    ),
    "tipc-mon-rcv": Case(
        functions={"tipc_mon_rcv@tipc": TIPC},
        near={"tipc_mon_prep@tipc": "tipc_link_build_proto_msg@tipc tipc_link_timeout@tipc", "tipc_node_bc_rcv@tipc": TIPC},
        kinds=("panic", *MEMORY), where="softirq",
    ),
    "tipc-crypto-key-rcv": Case(
        functions={"tipc_crypto_key_rcv@tipc": "tipc_crypto_msg_rcv@tipc tipc_rcv@tipc tipc_udp_recv@tipc udp_queue_rcv_one_skb"},
        near={"tipc_crypto_rcv@tipc": "tipc_rcv@tipc tipc_udp_recv@tipc", "tipc_crypto_key_init@tipc": "tipc_nl_node_set_key@tipc"},
        where="softirq",
    ),
    "n-hdlc-release": Case(
        functions={"n_hdlc_release@n_hdlc": "n_hdlc_tty_close@n_hdlc tty_ldisc_close tty_ldisc_hangup __tty_hangup"},
        near={"n_hdlc_send_frames@n_hdlc": "n_hdlc_tty_wakeup@n_hdlc tty_wakeup", "n_tty_close": "tty_ldisc_close"},
        comm="slattach",
    ),
    "reserve-sfa-size": Case(
        functions={"reserve_sfa_size@openvswitch": "__ovs_nla_copy_actions@openvswitch ovs_nla_copy_actions@openvswitch ovs_flow_cmd_new@openvswitch genl_rcv_msg netlink_rcv_skb"},
        near={"ovs_nla_put_actions@openvswitch": "ovs_flow_cmd_fill_info@openvswitch", "reserve_space_for_hdr@openvswitch": "ovs_vport_receive@openvswitch"},
        comm="ovs-vswitchd",
    ),
    "ppp-cp-parse-cr": Case(
        functions={"ppp_cp_parse_cr@hdlc_ppp": f"ppp_rx@hdlc_ppp {HDLC}"},
        near={"ppp_cp_event@hdlc_ppp": f"ppp_rx@hdlc_ppp {HDLC}", "fr_rx@hdlc_fr": HDLC},
        where="softirq",
    ),
    "l2cap-recv-frame": Case(
        functions={"l2cap_recv_frame@bluetooth": f"l2cap_recv_acldata@bluetooth {BLUE}"},
        near={"l2cap_sock_recvmsg@bluetooth": "sock_recvmsg __sys_recvfrom", "sco_recv_scodata@bluetooth": BLUE},
        where="thread", comm="kworker/u9:1",
    ),
    "mwifiex-bss-desc": Case(
        functions={"mwifiex_update_bss_desc_with_ie@mwifiex": "mwifiex_fill_new_bss_desc@mwifiex mwifiex_cfg80211_assoc@mwifiex mwifiex_cfg80211_connect@mwifiex cfg80211_connect@cfg80211 nl80211_connect@cfg80211"},
        near={"mwifiex_parse_single_response_buf@mwifiex": "mwifiex_ret_802_11_scan@mwifiex", "mwifiex_main_process@mwifiex": "mwifiex_main_work_queue@mwifiex"},
        comm="wpa_supplicant",
    ),
    "bpf-jit": Case(
        functions={"bpf_int_jit_compile": "bpf_prog_select_runtime bpf_prog_load __sys_bpf"},
        near={"bpf_prog_select_runtime": "bpf_prog_load __sys_bpf", "bpf_jit_binary_alloc": "bpf_prog_select_runtime"},
        kinds=("page-fault", "null-deref", "gpf", "bug", "sanitizer"), comm="loader",
        source="arch/x86/net/bpf_jit_comp.c:1720",
    ),
    "legacy-parse-param": Case(
        functions={"legacy_parse_param": "vfs_parse_fs_param vfs_fsconfig_locked __do_sys_fsconfig"},
        near={"ext4_parse_param@ext4": "vfs_parse_fs_param __do_sys_fsconfig", "vfs_parse_fs_param": "__do_sys_fsconfig", "legacy_get_tree": "vfs_get_tree vfs_fsconfig_locked"},
        comm="fsopen",
    ),
    "perf-group-detach": Case(
        functions={"perf_group_detach": f"__perf_remove_from_context {PERF}"},
        near={"perf_event_read": "perf_read vfs_read", "list_del_event": f"__perf_remove_from_context {PERF}"},
        kinds=ANY, comm="profiler",
    ),
    "perf-event-open": Case(
        functions={"__do_sys_perf_event_open": "__x64_sys_perf_event_open"},
        near={"perf_event_alloc": "inherit_event perf_event_init_task", "perf_event_ctx_lock_nested": OPEN},
        kinds=ANY, comm="profiler", renamed="{}.cold",
    ),
}  # fmt: skip
"""By the id of the runbook; what has no guilty function is in ``messages``."""
